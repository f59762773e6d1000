"""Where the output of a process goes: the Protocol alone, so that naming it costs no import."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

Stream: TypeAlias = Literal["stdout", "stderr"]


class OutputSink(Protocol):
    """Takes the output of a process, in the event loop; must not block and must not raise."""

    @property
    def is_congested(self) -> bool:
        """Whether the pipes are to be left unread for a moment."""

    def feed(self, stream: Stream, data: bytes) -> None:
        """Takes a chunk, cut anywhere."""

    def end(self, stream: Stream) -> None:
        """Learns, exactly once, that nothing more comes from this stream."""
