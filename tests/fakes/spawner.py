"""Processes that exist on paper only.

A script says what each prints, how long it takes and how it ends. They live on the event
loop's clock, so under `run_virtual` an hour takes no time.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from flowrunner.system.output import OutputSink, Stream
from flowrunner.system.process import DRAIN_S, ExitStatus, SpawnRequest

KILLED = ExitStatus(signal="SIGKILL")
TERMINATED = ExitStatus(signal="SIGTERM")


class RecordingSink:
    """Keeps all output; `congested` can be set to hold the pipes back."""

    def __init__(self) -> None:
        self.data: dict[Stream, bytes] = {"stdout": b"", "stderr": b""}
        self.ended: list[Stream] = []
        self.congested = False

    @property
    def is_congested(self) -> bool:
        return self.congested

    def feed(self, stream: Stream, data: bytes) -> None:
        self.data[stream] += data

    def end(self, stream: Stream) -> None:
        self.ended.append(stream)


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """What a fake process does.

    Attributes:
        output: Chunks, printed at once in this order.
        duration_s: From the spawn to the exit; None: until it is signalled.
        status: How it ends when nothing ends it sooner.
        on_term: How it ends on SIGTERM; None: it ignores SIGTERM.
        on_term_after_s: How long it takes to end on SIGTERM.
        child_on_term_s: How long after SIGTERM the last of its family ends, one that holds
            none of its output; None: it ignores SIGTERM.
    """

    output: Iterable[tuple[Stream, bytes]] = ()
    duration_s: float | None = 0.0
    status: ExitStatus = field(default_factory=lambda: ExitStatus(exit_code=0))
    on_term: ExitStatus | None = TERMINATED
    on_term_after_s: float = 0.0
    child_on_term_s: float | None = 0.0


class FakeProcess:
    """Meets `flowrunner.system.process.Process`; remembers its signals."""

    def __init__(self, pid: int, performance: Performance, output: OutputSink) -> None:
        self.pid = pid
        self.signals: list[str] = []
        self.closed = False
        self._performance = performance
        self._output = output
        self._pipes_open = True
        self._loop = asyncio.get_running_loop()
        self._exited: asyncio.Future[ExitStatus] = self._loop.create_future()
        self._childless = asyncio.Event()
        for stream, data in performance.output:
            output.feed(stream, data)
        if performance.duration_s is not None:
            self._end_after(performance.duration_s, performance.status)

    async def wait(self) -> ExitStatus:
        return await asyncio.shield(self._exited)

    async def drain(self, timeout_s: float = DRAIN_S) -> None:
        await self.wait()
        self._end_pipes()

    async def vacate(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                await self.wait()
                await self._childless.wait()
        except TimeoutError:
            return False
        return True

    async def signal_all(self, *numbers: int) -> None:
        for number in numbers if not self.closed else ():
            self._signal(number)

    def _signal(self, number: int) -> None:
        self.signals.append(signal.Signals(number).name)
        if number == signal.SIGKILL:
            self._end(KILLED)
            self._childless.set()
        elif number == signal.SIGTERM:
            self._terminate(self._performance)

    async def close(self) -> None:
        self._end(KILLED)
        self.closed = True
        self._end_pipes()

    def _terminate(self, performance: Performance) -> None:
        if performance.on_term is not None:
            self._end_after(performance.on_term_after_s, performance.on_term)
        if performance.child_on_term_s is not None:
            self._loop.call_later(performance.child_on_term_s, self._childless.set)

    def _end_after(self, delay_s: float, status: ExitStatus) -> None:
        self._loop.call_later(delay_s, self._end, status)

    def _end(self, status: ExitStatus) -> None:
        if not self._exited.done():
            self._exited.set_result(status)

    def _end_pipes(self) -> None:
        if self._pipes_open:
            self._pipes_open = False
            self._output.end("stdout")
            self._output.end("stderr")


class FakeSpawner:
    """Meets `flowrunner.system.process.Spawner`.

    Args:
        script: Says what the process of a request does, or raises what the spawn is to raise.

    Attributes:
        takes_s: How long after its start a process is handed out.
    """

    takes_s = 0.0

    def __init__(self, script: Callable[[SpawnRequest], Performance]) -> None:
        self._script = script
        self.requests: list[SpawnRequest] = []
        self.processes: list[FakeProcess] = []

    @property
    def unclosed(self) -> int:
        """How many processes nobody has closed."""
        return sum(not process.closed for process in self.processes)

    async def spawn(self, prepare: Callable[[], SpawnRequest], output: OutputSink) -> FakeProcess:
        request = prepare()
        self.requests.append(request)
        process = FakeProcess(1000 + len(self.processes), self._script(request), output)
        self.processes.append(process)
        if self.takes_s:
            await asyncio.sleep(self.takes_s)
        return process
