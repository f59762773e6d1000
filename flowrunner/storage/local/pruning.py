"""Removing old executions in SQLite: which may go, and what stays of them.

The start key of a removed execution stays taken for a while, apart: a copy of its delivery must
not start it again only because its flow has many executions.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from flowrunner.model.execution import Execution
from flowrunner.model.ids import Digest, ExecutionId, FlowKey
from flowrunner.storage.local.codec import LISTED_ROW, execution_of, micros_of
from flowrunner.storage.protocols import Expiry

IS_UNFINISHED = "state IN ('queued', 'running')"
"""Word for word as the partial index has it."""

# From flow to flow along the index, then to the next account: a comparison of pairs would read
# the whole account. The cost grows with the flows, not with the history.
FLOWS = """
WITH RECURSIVE flows (account, flow) AS (
  SELECT account, flow FROM executions WHERE id = (
    SELECT id FROM executions ORDER BY account, flow LIMIT 1)
  UNION ALL
  SELECT executions.account, executions.flow FROM flows, executions WHERE executions.id = coalesce(
    (SELECT id FROM executions WHERE account = flows.account AND flow > flows.flow
     ORDER BY flow LIMIT 1),
    (SELECT id FROM executions WHERE account > flows.account ORDER BY account, flow LIMIT 1))
)
"""
"""Beginning of a statement that reads `flows`: every flow that has executions."""

_ALL_FLOWS = f"{FLOWS} SELECT * FROM flows"  # noqa: S608 - constants
_OF_FLOW = "FROM executions WHERE account = :account AND flow = :flow"
_SURPLUS = f"SELECT id {_OF_FLOW} ORDER BY id DESC LIMIT 1 OFFSET :keep"
_OLDEST = f"""SELECT {LISTED_ROW} {_OF_FLOW} AND NOT {IS_UNFINISHED}
AND id < (SELECT id {_OF_FLOW} AND NOT {IS_UNFINISHED} ORDER BY id DESC LIMIT 1) ORDER BY id"""
_SPEND_KEY = f"""INSERT OR REPLACE INTO spent_keys (start_key, execution, created_at)
SELECT start_key, id, created_at FROM executions
WHERE id = ? AND start_key IS NOT NULL AND NOT {IS_UNFINISHED}"""  # noqa: S608 - constants
_DELETE = f"DELETE FROM executions WHERE id = ? AND NOT {IS_UNFINISHED}"  # noqa: S608 - constants
_FORGET = """DELETE FROM spent_keys WHERE start_key IN (
SELECT start_key FROM spent_keys WHERE created_at < ? ORDER BY created_at LIMIT ?)"""
_DIGESTS = """
WITH RECURSIVE found (digest) AS (
  SELECT min(digest) FROM executions
  UNION ALL
  SELECT (SELECT min(digest) FROM executions WHERE digest > found.digest) FROM found
  WHERE found.digest IS NOT NULL
)
SELECT digest FROM found WHERE digest IS NOT NULL
"""


def flows(connection: sqlite3.Connection) -> list[FlowKey]:
    """Returns every flow that has executions, sorted."""
    return [FlowKey(*row) for row in connection.execute(_ALL_FLOWS)]


def expired(connection: sqlite3.Connection, *, rule: Expiry) -> list[Execution]:
    """Returns the oldest executions that a rule lets go; reads no more than those and one."""
    values = {"account": rule.flow.account, "flow": rule.flow.name, "keep": rule.keep}
    surplus = connection.execute(_SURPLUS, values).fetchone()
    found: list[Execution] = []
    for row in connection.execute(_OLDEST, values):
        execution = execution_of(row)
        is_surplus = surplus is not None and execution.id <= surplus[0]
        if len(found) == rule.limit or not (is_surplus or execution.created_at < rule.before):
            break
        found.append(execution)
    return found


def prune(connection: sqlite3.Connection, *, ids: Sequence[ExecutionId]) -> None:
    """Removes ended executions with all that belongs to them, and spends their keys."""
    for execution_id in ids:
        connection.execute(_SPEND_KEY, (execution_id,))
        connection.execute(_DELETE, (execution_id,))


def forget_keys(connection: sqlite3.Connection, *, before: datetime, limit: int) -> int:
    """Frees spent keys, the oldest first, and returns how many."""
    return connection.execute(_FORGET, (micros_of(before), limit)).rowcount


def digests(connection: sqlite3.Connection) -> set[Digest]:
    """Returns the digests of all executions, from one to the next along the index."""
    return {Digest(row[0]) for row in connection.execute(_DIGESTS)}
