"""A folder of many flows, each as long and as different as those that people write."""

from __future__ import annotations

import random
import re
from pathlib import Path

_EVERY, _CRON = re.compile(r"every: \d+m"), re.compile(r"cron: .+")

_HEAD = """\
# yaml-language-server: $schema=../schemas/flow.v1.schema.json
version: 1
name: {name}
description: Exports the {subject} of region {number} and files what came of it.
labels: {{team: {team}, tier: "{tier}"}}

inputs:
  day:
    default: today
    description: The day to export, as 2026-03-30 or a word that date(1) knows.
  limit: {{type: integer, minimum: 1, maximum: 10000, default: {limit}}}

vars:
  bucket: exports-{number}

env:
  REGION: region-{number}

triggers:
"""

_SCHEDULE = """\
  - id: nightly
    type: schedule
    cron: {minute} {hour} * * {weekday}
    timezone: Europe/Berlin
    inputs: {{day: yesterday}}
"""

_INTERVAL = """\
  - type: schedule
    every: {minute}m
"""

_WEBHOOK = """\
  - id: push
    type: webhook
    auth: {{type: github, secret: DEPLOY_{number}}}
    if: trigger.body.ref == 'refs/heads/main' && trigger.body.deleted != true
    inputs: {{day: "${{{{ trigger.body.after }}}}"}}
"""

_NODES = """
concurrency: {{on_conflict: skip}}

nodes:
  - id: count
    run: |
      rows=$("$FLOW_DIR"/count-{subject} --region "$REGION" --day "$DAY")
      echo "rows=$rows" >> "$FLOW_OUTPUT"
    env: {{DAY: "${{{{ inputs.day }}}}"}}
    outputs: {{rows: {{type: integer}}}}
    timeout: 10m
    retry: {{max_attempts: 3, delay: 30s}}

  - id: empty
    if: nodes.count.outputs.rows == 0
    type: fail
    params: {{message: "no {subject} for ${{{{ inputs.day }}}}"}}
"""

_NODE = """
  - id: part_{part}
    needs: [{need}]
    if: nodes.count.outputs.rows > {threshold} || inputs.limit == {part}
    run: |
      cd "$WORK_DIR"
      "$FLOW_DIR"/export-{subject} --part {part} --rows "$ROWS" > part-{part}.csv
      gzip --best part-{part}.csv
      test -s part-{part}.csv.gz
    env:
      ROWS: ${{{{ nodes.count.outputs.rows }}}}
      LIMIT: ${{{{ inputs.limit }}}}
    timeout: {timeout}s
"""

_TAIL = """
  - id: told
    needs: [{needs}]
    type: log
    params:
      level: info
      message: >-
        ${{{{ nodes.count.outputs.rows }}}} {subject} of ${{{{ inputs.day }}}}
        are in ${{{{ vars.bucket }}}}
"""

_SUBJECTS = ("orders", "invoices", "parcels", "readings", "tickets")
_TEAMS = ("data", "shop", "billing", "ops")


def flow_text(number: int) -> str:
    """Returns the text of one flow: 60 to 130 lines, always the same for its number."""
    drawn = random.Random(number)
    facts = {
        "name": f"export-{number}",
        "number": number,
        "subject": drawn.choice(_SUBJECTS),
        "team": drawn.choice(_TEAMS),
        "tier": drawn.randint(1, 3),
        "limit": drawn.randint(1, 10_000),
        "minute": drawn.randint(1, 59),
        "hour": drawn.randint(0, 23),
        "weekday": drawn.choice(("*", "1-5", "MON", "SUN#1")),
    }
    trigger = drawn.choice((_SCHEDULE, _SCHEDULE, _INTERVAL, _WEBHOOK))
    parts = drawn.randint(1, 5)
    nodes = [
        _NODE.format(
            **facts,
            part=part,
            need="empty" if part == 1 else f"part_{drawn.randint(1, part - 1)}",
            threshold=drawn.randint(0, 1_000),
            timeout=drawn.randint(1, 600),
        )
        for part in range(1, parts + 1)
    ]
    needs = ", ".join(f"part_{part}" for part in range(1, parts + 1))
    pieces = (_HEAD + trigger + _NODES).format(**facts)
    return pieces + "".join(nodes) + _TAIL.format(**facts, needs=needs)


def write_flows(folder: Path, count: int, *, are_due: bool = True) -> None:
    """Writes so many flows, 100 to a folder; a row about idleness needs some that are not due."""
    for number in range(count):
        path = folder / f"team-{number // 100}" / f"export-{number}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = flow_text(number)
        if not are_due:
            text = _EVERY.sub("every: 360d", _CRON.sub("cron: 0 3 29 2 *", text))
        path.write_text(text, encoding="utf-8")
