"""Marks, over every backend: what `flowrunner.storage.mark_store` promises."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flowrunner.errors import StorageError
from flowrunner.model.ids import FlowKey
from flowrunner.model.mark import MarkChange, MarkKey, MarkKind
from flowrunner.model.states import ExecutionState
from flowrunner.storage.factory import BACKENDS
from flowrunner.storage.protocols import Storage
from tests.contract.test_storage import Use, use_storage
from tests.fakes.records import BACKUP, make_execution, minutes

ONE = MarkKey(MarkKind.FILE, BACKUP, "inbox", "8:12")
TWO = MarkKey(MarkKind.FILE, FlowKey("team-a", "backup"), "inbox", "8:12")
OTHER_KIND = MarkKey(MarkKind.SLA, BACKUP, "", "since")


@pytest.fixture(params=BACKENDS)
def use(request: pytest.FixtureRequest, tmp_path: Path) -> Use:
    """Runs a body with each backend."""
    return lambda body: use_storage(request.param, tmp_path / "state", body)


def test_marks_come_change_and_go(use: Use) -> None:
    """A mark is found by its kind, is replaced by a later one, and goes when it is dropped."""

    async def body(storage: Storage) -> None:
        marks = storage.marks
        assert await marks.list(MarkKind.FILE) == {}
        await marks.change(MarkChange(put={TWO: "a", ONE: "b", OTHER_KIND: "c"}))
        await marks.change(MarkChange(put={ONE: "d"}))
        assert list((await marks.list(MarkKind.FILE)).items()) == [(ONE, "d"), (TWO, "a")]
        await marks.change(MarkChange(put={OTHER_KIND: "e"}, drop=frozenset({ONE, TWO})))
        assert await marks.list(MarkKind.FILE) == {}
        assert await marks.list(MarkKind.SLA) == {OTHER_KIND: "e"}

    use(body)


def test_marks_and_execution_are_one_write(use: Use) -> None:
    """What is accepted changes its marks; what is refused, or has a known key, changes none."""

    async def body(storage: Storage) -> None:
        executions, marks = storage.executions, storage.marks
        known = replace(make_execution(1), start_key="key")
        await executions.create(known, marks=MarkChange(put={ONE: "1"}))
        with pytest.raises(StorageError):
            await executions.create(make_execution(1), marks=MarkChange(put={ONE: "2"}))
        assert await marks.list(MarkKind.FILE) == {ONE: "1"}
        again = replace(make_execution(2), start_key="key")
        answer = await executions.create(again, marks=MarkChange(drop=frozenset({ONE})))
        assert (answer.id, answer.created) == (known.id, False)
        assert await marks.list(MarkKind.FILE) == {ONE: "1"}

    use(body)


def test_marks_change_with_the_end_of_an_execution(use: Use) -> None:
    """An update and its marks are kept together; those of an unknown execution are refused."""

    async def body(storage: Storage) -> None:
        executions, marks = storage.executions, storage.marks
        await executions.create(make_execution(1))
        ended = replace(make_execution(1), state=ExecutionState.SUCCEEDED, ended_at=minutes(2))
        await executions.update(ended, marks=MarkChange(put={ONE: "1"}))
        with pytest.raises(StorageError):
            await executions.update(make_execution(2), marks=MarkChange(put={TWO: "1"}))
        assert await marks.list(MarkKind.FILE) == {ONE: "1"}

    use(body)
