"""The channel `exec`: a program of this host, which reads the message as JSON."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Mapping
from pathlib import Path

from flowrunner.dataclass import dataclass
from flowrunner.errors import ExecutionError
from flowrunner.notify.channel import NotSentError
from flowrunner.notify.message import Message
from flowrunner.system.output import Stream
from flowrunner.system.process import Spawner, SpawnRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandChannel:
    """Runs a program as the daemon's user; exit code 0 says that it was told.

    Attributes:
        environment: All that it finds there, besides `NOTIFICATION_ID`.
        timeout_s: Then it is killed with everything that it started.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    timeout_s: float
    spawner: Spawner

    async def send(self, message: Message) -> None:
        """Runs it once, with the message on its standard input."""
        told = {"id": message.id, **message.to_json(), "text": message.text}
        request = SpawnRequest(
            argv=self.argv,
            env={**self.environment, "NOTIFICATION_ID": message.id},
            cwd=Path("/"),
            stdin=json.dumps(told).encode() + b"\n",
        )
        try:
            async with asyncio.timeout(self.timeout_s):
                process = await self.spawner.spawn(lambda: request, _Nowhere())
        except TimeoutError as error:
            raise NotSentError(f"it did not start within {self.timeout_s:g} s") from error
        except ExecutionError as error:
            raise NotSentError(error.message) from error
        try:
            async with asyncio.timeout(self.timeout_s):
                status = await process.wait()
                await process.drain()
        except TimeoutError as error:
            raise NotSentError(f"it took longer than {self.timeout_s:g} s") from error
        finally:
            await process.signal_all(signal.SIGKILL)
            await process.close()
        if status.exit_code != 0:
            how = status.signal or f"exit code {status.exit_code}"
            raise NotSentError(f"it ended with {how}")


class _Nowhere:
    """Takes what a program prints, and forgets it."""

    is_congested = False

    def feed(self, stream: Stream, data: bytes) -> None:
        """Takes a chunk."""

    def end(self, stream: Stream) -> None:
        """Learns that nothing more comes."""
