"""What a simulation did, line by line: two runs of one seed have the same lines."""

from __future__ import annotations

import hashlib
from collections import deque

SHOWN_STEPS = 30
SHOWN_EVENTS = 20


class Trace:
    """Steps are what the simulation does to the daemon, events are what the daemon does."""

    def __init__(self) -> None:
        self.steps = 0
        self._last_steps: deque[str] = deque(maxlen=SHOWN_STEPS)
        self._last_events: deque[str] = deque(maxlen=SHOWN_EVENTS)
        self._hash = hashlib.sha256()

    def step(self, text: str) -> None:
        """Adds a step."""
        self.steps += 1
        line = f"step {self.steps}: {text}"
        self._last_steps.append(line)
        self._hash.update(f"{line}\n".encode())

    def event(self, text: str) -> None:
        """Adds an event."""
        self._last_events.append(f"  (step {self.steps}) {text}")
        self._hash.update(f"{text}\n".encode())

    @property
    def fingerprint(self) -> str:
        """Returns a hash of all lines so far."""
        return self._hash.hexdigest()

    def story(self) -> str:
        """Returns the last steps and the last events."""
        return "\n".join(
            ["the last steps:", *self._last_steps, "the last events:", *self._last_events]
        )
