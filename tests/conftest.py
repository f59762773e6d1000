"""What holds for every test: it leaves nothing behind, and chance does not decide.

Hypothesis tries the same examples each time in the short profile, so that a landing does not fail
over what nobody changed; the long one looks further, anew each time. The machine may be busy:
no example has a deadline.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.leaks import PendingTasks, adopt_no_orphans, belongings, left_since
from tests.profile import PROFILE, examples

settings.register_profile("short", deadline=None, derandomize=True)
settings.register_profile("long", deadline=None, max_examples=examples(100))
settings.load_profile(PROFILE)


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
