"""Whatever is kept comes back equal: records through the codec, SQLite and files."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, TypeVar

from hypothesis import given
from hypothesis import strategies as st

from flowrunner.model.digest import digest_of
from flowrunner.model.execution import (
    Attempt,
    Cause,
    Execution,
    Failure,
    ItemEnd,
    NodeStatus,
    Parent,
    ScheduleKey,
    SlotRun,
)
from flowrunner.model.ids import AttemptKey, Digest, ExecutionId, FlowKey, Json, Revision
from flowrunner.model.pause import Pause, PauseRecord
from flowrunner.model.states import AttemptState, ExecutionState, NodeState, SlotOutcome
from flowrunner.storage.flow_store import FlowRecord
from flowrunner.storage.local import codec, record_codec, slot_codec

T = TypeVar("T")

_NO_CALL = [None] * len(codec.CALL_COLUMNS.split(","))
"""What a join gives for an execution that no other one has asked for."""

zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30), timezones=zones)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
any_texts = texts | st.just("\ud800")  # the journal takes what a process printed
finite = st.floats(allow_nan=False, allow_infinity=False)
numbers = st.integers(0, 2**63 - 1)


def json_values(strings: st.SearchStrategy[str]) -> st.SearchStrategy[Json]:
    leaves = st.none() | st.booleans() | st.integers() | finite | strings
    return st.recursive(
        leaves,
        lambda below: st.lists(below, max_size=4) | st.dictionaries(strings, below, max_size=4),
        max_leaves=10,
    )


def json_objects(strings: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Json]]:
    return st.dictionaries(strings, json_values(strings), max_size=4)


ids = st.uuids().map(lambda value: ExecutionId(str(value)))
flows = st.builds(FlowKey, texts, texts)
failures = st.builds(
    Failure,
    code=any_texts,
    message=any_texts,
    details=json_objects(any_texts),
    quotes_data=st.booleans(),
)
causes = st.builds(
    Cause,
    trigger_id=texts,
    trigger_type=texts,
    slot_at=st.none() | times,
    context=json_objects(any_texts),
    payload=st.none() | st.binary(max_size=50),
)
parents = st.builds(
    Parent,
    attempt=st.builds(AttemptKey, ids, texts, numbers, numbers),
    is_waited=st.booleans(),
    depth=numbers,
)
executions = st.builds(
    Execution,
    id=ids,
    flow=flows,
    state=st.sampled_from(ExecutionState),
    reason=texts,
    cause=causes,
    start_key=st.none() | texts,
    group=st.none() | texts,
    is_forced=st.booleans(),
    retry_of=st.none() | ids,
    parent=st.none() | parents,
    revision=texts.map(Revision),
    digest=texts.map(Digest),
    inputs=json_objects(any_texts),
    outputs=st.none() | json_objects(any_texts),
    error=st.none() | failures,
    created_at=times,
    started_at=st.none() | times,
    ended_at=st.none() | times,
)
pauses = st.builds(
    PauseRecord,
    pause=st.none()
    | st.builds(
        Pause,
        at=times,
        reason=any_texts,
        uid=st.none() | numbers,
        until=st.none() | times,
        digest=st.none() | texts.map(Digest),
    ),
    cleared_at=st.none() | times,
)
attempts = st.builds(
    Attempt,
    key=st.builds(AttemptKey, ids, texts, numbers, numbers),
    state=st.sampled_from(AttemptState),
    reason=texts,
    exit_code=st.none() | st.integers(-255, 255),
    error=st.none() | failures,
    started_at=times,
    ended_at=st.none() | times,
    item_end=st.none() | st.builds(ItemEnd, outputs=st.none() | json_objects(any_texts)),
)
nodes = st.builds(
    NodeStatus,
    execution=ids,
    node=texts,
    state=st.sampled_from(NodeState),
    reason=texts,
    outputs=json_values(any_texts) | st.floats(allow_nan=False),
    error=st.none() | failures,
    started_at=st.none() | times,
    ended_at=st.none() | times,
)
slot_runs = st.builds(
    SlotRun,
    schedule=st.builds(ScheduleKey, flow=flows, trigger=texts, fingerprint=texts),
    outcome=st.sampled_from(SlotOutcome),
    reason=texts,
    first=times,
    last=times,
    count=numbers,
    decided_at=times,
    digest=st.none() | texts.map(Digest),
    evidence=json_objects(any_texts),
    revision=st.none() | texts.map(Revision),
)


@st.composite
def records(draw: st.DrawFn) -> FlowRecord:
    definition = draw(json_objects(texts))
    return FlowRecord(
        key=draw(flows),
        path=draw(any_texts),
        revision=Revision(draw(texts)),
        digest=digest_of(definition),
        definition=definition,
        generation=draw(numbers),
        updated_at=draw(times),
    )


def through_sqlite(row: codec.Row) -> tuple[Any, ...]:
    """What SQLite makes of a row."""
    marks = ", ".join("?" * len(row))
    with closing(sqlite3.connect(":memory:")) as connection:
        found: tuple[Any, ...] = connection.execute(f"SELECT {marks}", row).fetchone()
    return found


def check(value: T, encode: Callable[[T], codec.Row], decode: Callable[[codec.Row], T]) -> None:
    assert decode(through_sqlite(encode(value))) == value


@given(times)
def test_time_comes_back_to_the_microsecond(moment: datetime) -> None:
    """A time of any zone is the same moment afterwards, in UTC, and its order is kept."""
    back = codec.moment_of(codec.micros_of(moment))
    assert back == moment
    assert back.tzinfo is UTC
    later = moment + timedelta(microseconds=1)
    assert codec.micros_of(later) == codec.micros_of(moment) + 1


@given(executions)
def test_execution_comes_back_equal(execution: Execution) -> None:
    """Every execution survives its rows: its own, its payload, its pins and who asked for it."""
    pins, call = codec.pins_row(execution), _NO_CALL
    if execution.parent is not None:
        child, *call = codec.call_row(execution.id, execution.parent)
        assert child == execution.id
    row = (*codec.execution_row(execution), execution.cause.payload, *pins, *call)
    assert codec.execution_of(through_sqlite(row)) == execution


@given(flows, pauses)
def test_pause_comes_back_equal(flow: FlowKey, record: PauseRecord) -> None:
    """Every pause survives its row, whatever a person wrote about it."""
    row = through_sqlite(codec.pause_row(flow, record))
    assert codec.pause_of(row) == (flow, record)


@given(attempts)
def test_attempt_comes_back_equal(attempt: Attempt) -> None:
    """Every attempt survives its row."""
    check(attempt, codec.attempt_row, codec.attempt_of)


@given(nodes)
def test_node_comes_back_equal(node: NodeStatus) -> None:
    """Every node survives its row, whatever its outputs are."""
    check(node, codec.node_row, codec.node_of)


@given(slot_runs)
def test_run_of_slots_comes_back_equal(run: SlotRun) -> None:
    """Every row of the ledger survives."""
    check(run, slot_codec.slot_run_row, slot_codec.slot_run_of)


@given(records())
def test_flow_record_comes_back_equal(record: FlowRecord) -> None:
    """Every record survives its file, and its digest fits."""
    assert record_codec.record_of(record_codec.record_text(record)) == record
