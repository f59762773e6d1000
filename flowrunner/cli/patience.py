"""Goes on asking while the daemon is restarted, so that a follower need not begin anew.

Only somebody who had an answer before is that patient: a daemon that was never there is told at
once. What is asked for, and from where on, is left to the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flowrunner.cli.errors import NoDaemonError
from flowrunner.cli.log_stream import Client
from flowrunner.model.ids import Json

PATIENCE_S = 60.0
"""Seconds without an answer after which a follower gives up."""

_RETRY_S = 0.5


class PatientClient:
    """Gets documents from a daemon that may be restarted.

    Args:
        client: Asks.
        pause: Waits so many seconds.
        tell: Tells the person that, and for how long, there is no answer.
        has_answered: Whether there was an answer already.
    """

    def __init__(
        self,
        client: Client,
        *,
        pause: Callable[[float], None],
        tell: Callable[[str], None],
        has_answered: bool = False,
    ) -> None:
        self._client = client
        self._pause = pause
        self._tell = tell
        self._has_answered = has_answered

    def get(self, path: str, query: Mapping[str, str | int | None] | None = None) -> Json:
        """Returns what is at an address; a daemon that went away is asked for `PATIENCE_S`."""
        waited = 0.0
        while True:
            try:
                answer = self._client.get(path, query)
            except NoDaemonError:
                if not self._has_answered or waited >= PATIENCE_S:
                    raise
                if not waited:
                    self._tell(f"the daemon went away; asking again for {PATIENCE_S:g} s")
                self._pause(_RETRY_S)
                waited += _RETRY_S
                continue
            self._has_answered = True
            if waited:
                self._tell("the daemon is there again")
            return answer
