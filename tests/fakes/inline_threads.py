"""A virtual loop whose threads run in the loop: for code that gives blocking calls to threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tests.fakes.virtual_time import VirtualLoop

T = TypeVar("T")


class InlineLoop(VirtualLoop):
    """Runs what is meant for a thread in a later turn of its own, in no time."""

    def run_in_executor(  # type: ignore[override]  # typeshed wants a TypeVarTuple here
        self, executor: object, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self.create_future()
        self.call_soon(_carry, future, func, args)
        return future


def run_inline(main: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine on a fresh loop of virtual time without threads."""
    with asyncio.Runner(loop_factory=InlineLoop) as runner:
        return runner.run(main)


def _carry(future: asyncio.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]) -> None:
    try:
        result = func(*args)
    except Exception as error:  # noqa: BLE001 - a thread hands every error to who waits for it
        if not future.cancelled():
            future.set_exception(error)
    else:
        if not future.cancelled():
            future.set_result(result)
