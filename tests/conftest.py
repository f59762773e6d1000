"""What holds for every test: it leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.leaks import PendingTasks, adopt_no_orphans, belongings, left_since


@pytest.fixture(scope="session")
def pending_tasks() -> Iterator[PendingTasks]:
    """Notes what is pending at the end of each loop."""
    pending = PendingTasks()
    with pending.watched():
        yield pending


@pytest.fixture(autouse=True)
def _leaves_nothing(pending_tasks: PendingTasks) -> Iterator[None]:
    """Fails a test that leaves a task, a descriptor, a child or a thread."""
    before = belongings()
    yield
    adopt_no_orphans()
    left = [*pending_tasks.take(), *left_since(before)]
    if left:
        pytest.fail("left behind: " + "; ".join(left), pytrace=False)
