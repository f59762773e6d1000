"""The tables of the local store, as the list of migrations that makes them.

`MIGRATIONS[n]` takes a database of version `n` to `n + 1`; an entry that was released is never
edited, a change is a new entry. `database.py` applies them.

Times are integers: microseconds since 1970-01-01 UTC. Structured values are JSON text.
"""

from __future__ import annotations

_EXECUTIONS = """
CREATE TABLE executions (
  id TEXT NOT NULL PRIMARY KEY,
  account TEXT NOT NULL,
  flow TEXT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT NOT NULL,
  trigger_id TEXT NOT NULL,
  trigger_type TEXT NOT NULL,
  slot_at INTEGER,
  context TEXT NOT NULL,
  start_key TEXT,
  revision TEXT NOT NULL,
  digest TEXT NOT NULL,
  inputs TEXT NOT NULL,
  error TEXT,
  created_at INTEGER NOT NULL,
  started_at INTEGER,
  ended_at INTEGER
)
"""

_EXECUTIONS_UNFINISHED = """
CREATE INDEX executions_unfinished ON executions (id) WHERE state IN ('queued', 'running')
"""

_EXECUTIONS_BY_KEY = """
CREATE UNIQUE INDEX executions_by_key ON executions (start_key) WHERE start_key IS NOT NULL
"""

_EXECUTIONS_BY_SLOT = """
CREATE INDEX executions_by_slot ON executions (account, flow, slot_at) WHERE slot_at IS NOT NULL
"""

# Apart, because a change of state rewrites the whole row of its execution.
_PAYLOADS = """
CREATE TABLE payloads (
  execution TEXT NOT NULL PRIMARY KEY REFERENCES executions (id) ON DELETE CASCADE,
  body BLOB NOT NULL
)
"""

# What else is pinned with an execution; most have none of it, so most have no row. Apart, because
# columns behind the outputs would make reading a page read those.
_PINS = """
CREATE TABLE pins (
  execution TEXT NOT NULL PRIMARY KEY REFERENCES executions (id) ON DELETE CASCADE,
  concurrency_group TEXT,
  is_forced INTEGER NOT NULL,
  retry_of TEXT
) WITHOUT ROWID
"""

# Executions that an attempt of another one has asked for, and which attempt that was. Apart, and
# without a reference to the other one, which may be removed first.
_CALLS = """
CREATE TABLE calls (
  child TEXT NOT NULL PRIMARY KEY REFERENCES executions (id) ON DELETE CASCADE,
  execution TEXT NOT NULL,
  node TEXT NOT NULL,
  item_index INTEGER NOT NULL,
  number INTEGER NOT NULL,
  is_waited INTEGER NOT NULL,
  depth INTEGER NOT NULL
) WITHOUT ROWID
"""

_ATTEMPTS = """
CREATE TABLE attempts (
  execution TEXT NOT NULL REFERENCES executions (id) ON DELETE CASCADE,
  node TEXT NOT NULL,
  item_index INTEGER NOT NULL,
  number INTEGER NOT NULL,
  state TEXT NOT NULL,
  reason TEXT NOT NULL,
  exit_code INTEGER,
  error TEXT,
  started_at INTEGER NOT NULL,
  ended_at INTEGER,
  PRIMARY KEY (execution, node, item_index, number)
) WITHOUT ROWID
"""

_NODES = """
CREATE TABLE nodes (
  position INTEGER PRIMARY KEY,
  execution TEXT NOT NULL REFERENCES executions (id) ON DELETE CASCADE,
  node TEXT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT NOT NULL,
  outputs TEXT NOT NULL,
  error TEXT,
  started_at INTEGER,
  ended_at INTEGER,
  UNIQUE (execution, node)
)
"""

# `open_run` is the newest row of the schedule in `slot_runs` while slots may still join it.
_CURSORS = """
CREATE TABLE cursors (
  account TEXT NOT NULL,
  flow TEXT NOT NULL,
  trigger_id TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  at INTEGER NOT NULL,
  open_run INTEGER,
  PRIMARY KEY (account, flow, trigger_id, fingerprint)
) WITHOUT ROWID
"""

_SLOT_RUNS = """
CREATE TABLE slot_runs (
  position INTEGER PRIMARY KEY,
  account TEXT NOT NULL,
  flow TEXT NOT NULL,
  trigger_id TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  outcome TEXT NOT NULL,
  reason TEXT NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  count INTEGER NOT NULL,
  decided_at INTEGER NOT NULL
)
"""

# `pause` is JSON, NULL while the flow is not paused; `cleared_at` ends the count of failures.
_PAUSES = """
CREATE TABLE pauses (
  account TEXT NOT NULL,
  flow TEXT NOT NULL,
  pause TEXT,
  cleared_at INTEGER,
  PRIMARY KEY (account, flow)
) WITHOUT ROWID
"""

# By kind first: each kind is read as a whole at a start. An empty flow stands for the host.
_MARKS = """
CREATE TABLE marks (
  kind TEXT NOT NULL,
  account TEXT NOT NULL,
  flow TEXT NOT NULL,
  trigger_id TEXT NOT NULL,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (kind, account, flow, trigger_id, name)
) WITHOUT ROWID
"""

# One row: when the state was last seen to be writable.
_PROBE = "CREATE TABLE probe (id INTEGER PRIMARY KEY CHECK (id = 1), at INTEGER NOT NULL)"

# At most one row: that this database took the place of another one, until somebody says "seen".
_RESTORED = """
CREATE TABLE restored (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  at INTEGER NOT NULL,
  origin TEXT NOT NULL,
  quarantined TEXT NOT NULL
)
"""

# Start keys of executions that were removed, with their times.
_SPENT_KEYS = """
CREATE TABLE spent_keys (
  start_key TEXT NOT NULL PRIMARY KEY,
  execution TEXT NOT NULL,
  created_at INTEGER NOT NULL
) WITHOUT ROWID
"""

# What happened to flows, numbered for each; also of flows that have left.
_FLOW_EVENTS = """
CREATE TABLE flow_events (
  account TEXT NOT NULL,
  flow TEXT NOT NULL,
  number INTEGER NOT NULL,
  at INTEGER NOT NULL,
  type TEXT NOT NULL,
  status TEXT,
  reason TEXT NOT NULL,
  message TEXT NOT NULL,
  revision TEXT NOT NULL,
  generation INTEGER NOT NULL,
  PRIMARY KEY (account, flow, number)
) WITHOUT ROWID
"""

# What the events so far have told of a flow; `conditions` is JSON.
_FLOW_STATES = """
CREATE TABLE flow_states (
  account TEXT NOT NULL,
  flow TEXT NOT NULL,
  number INTEGER NOT NULL,
  conditions TEXT NOT NULL,
  digest TEXT NOT NULL,
  rejected TEXT NOT NULL,
  is_held INTEGER NOT NULL,
  is_gone INTEGER NOT NULL,
  PRIMARY KEY (account, flow)
) WITHOUT ROWID
"""

# What became of deliveries. Those to no hook have an empty flow; several that are alike have one
# row, found by `run`, which is NULL for all others.
_DELIVERIES = """
CREATE TABLE deliveries (
  id TEXT NOT NULL PRIMARY KEY,
  at INTEGER NOT NULL,
  first_at INTEGER NOT NULL,
  repeats INTEGER NOT NULL,
  path TEXT NOT NULL,
  source TEXT NOT NULL,
  account TEXT NOT NULL,
  flow TEXT NOT NULL,
  trigger_id TEXT NOT NULL,
  event TEXT NOT NULL,
  delivery_id TEXT NOT NULL,
  is_proven INTEGER NOT NULL,
  status INTEGER NOT NULL,
  reason TEXT NOT NULL,
  detail TEXT NOT NULL,
  execution TEXT,
  revision TEXT NOT NULL,
  request_id TEXT NOT NULL,
  run TEXT
) WITHOUT ROWID
"""

# What executions ran, as canonical JSON. A table with row numbers: texts may be long, and in a
# table without them they would lie in the tree that is searched.
_DEFINITIONS = """
CREATE TABLE definitions (
  digest TEXT NOT NULL PRIMARY KEY,
  text TEXT NOT NULL
)
"""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        _EXECUTIONS,
        "CREATE INDEX executions_by_flow ON executions (account, flow, id DESC)",
        "CREATE INDEX executions_by_account ON executions (account, id DESC)",
        _EXECUTIONS_UNFINISHED,
        _EXECUTIONS_BY_KEY,
        _PAYLOADS,
        _ATTEMPTS,
        "CREATE INDEX attempts_running ON attempts (execution) WHERE state = 'running'",
        _NODES,
        _CURSORS,
        _SLOT_RUNS,
        "CREATE INDEX slot_runs_by_flow ON slot_runs (account, flow, position DESC)",
        _PROBE,
    ),
    # Behind all others, so that reading a page need not read it.
    ("ALTER TABLE executions ADD COLUMN outputs TEXT",),
    (_RESTORED,),
    (
        _SPENT_KEYS,
        "CREATE INDEX spent_keys_by_age ON spent_keys (created_at)",
        "CREATE INDEX executions_by_digest ON executions (digest)",
    ),
    (_PINS, _PAUSES),
    # JSON: what an item of a `foreach` came to, with its last attempt; NULL for all others.
    ("ALTER TABLE attempts ADD COLUMN item_end TEXT",),
    (_CALLS, "CREATE INDEX calls_by_execution ON calls (execution, child)"),
    (_FLOW_EVENTS, _FLOW_STATES, "CREATE INDEX flow_events_by_age ON flow_events (at)"),
    (_MARKS,),
    # `evidence` is JSON. Rows of a flow by their time, and executions by their slot: for `why`.
    (
        "ALTER TABLE slot_runs ADD COLUMN digest TEXT",
        "ALTER TABLE slot_runs ADD COLUMN evidence TEXT NOT NULL DEFAULT '{}'",
        "CREATE INDEX slot_runs_by_time ON slot_runs (account, flow, last DESC)",
        _EXECUTIONS_BY_SLOT,
    ),
    # Two indexes for all, so that one which starts something costs little; two for the others.
    (
        _DELIVERIES,
        "CREATE INDEX deliveries_by_flow ON deliveries (account, flow, at)",
        "CREATE INDEX deliveries_by_time ON deliveries (at)",
        "CREATE INDEX deliveries_unproven ON deliveries (account, flow, at) WHERE NOT is_proven",
        "CREATE UNIQUE INDEX deliveries_by_run ON deliveries (run) WHERE run IS NOT NULL",
    ),
    # The revision of a slot that did not start; NULL for those of earlier versions.
    ("ALTER TABLE slot_runs ADD COLUMN revision TEXT",),
    # Before, each was a file: `definition_files.py` takes those over.
    (_DEFINITIONS,),
)
"""What makes each version out of the one before; the last one is what this code reads."""
