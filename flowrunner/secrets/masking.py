"""Replaces secrets in a stream of bytes, however the stream is cut into chunks.

Best effort by nature: a program that prints a secret encoded, reversed or in pieces gets it
through. Masked are the values themselves, and of a value with several lines also each line, as
programs indent and number what they print. Values shorter than 4 characters, or of white space
alone, are not masked: they would turn ordinary output into stars and hide nothing.

The search is `bytes.find` for each secret: a chunk without a secret, the usual case, costs one
fast scan per secret and no copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from flowrunner.model.secret import MASK

SHORTEST_VALUE = 4
"""Characters. Shorter values are not masked."""

SHORTEST_LINE = 6
"""Characters, of one line of a secret with several lines; `}` or `END` alone is no secret."""

_MASK = MASK.encode()


class Masker:
    """Masks one stream. Not for two streams at once: it remembers the end of the last chunk.

    Of secrets that begin at the same byte the longest wins; of secrets that overlap the first.

    Args:
        values: The secret texts, of any number and length.
    """

    def __init__(self, values: Iterable[str]) -> None:
        texts = {text for value in values for text in _texts_to_hide(value)}
        needles = (text.encode("utf-8", errors="surrogateescape") for text in texts)
        self._needles = sorted(needles, key=len, reverse=True)
        self._held = b""

    def occurs_in(self, data: bytes) -> bool:
        """Whether some data, apart from the stream, hold what would be masked."""
        return any(needle in data for needle in self._needles)

    def feed(self, data: bytes) -> bytes:
        """Returns what can be told by now, masked.

        Held back is only a tail that may be the beginning of a secret.
        """
        if not self._needles:
            return data
        data = self._held + data
        masked, rest = self._mask(data, self._pending_from(data, 0))
        self._held = data[rest:]
        return masked

    def flush(self) -> bytes:
        """Returns what was held back, masked: the stream has ended."""
        masked, _ = self._mask(self._held, len(self._held))
        self._held = b""
        return masked

    def _mask(self, data: bytes, pending: int) -> tuple[bytes, int]:
        """Masks up to `pending`; also returns the index of the first byte left undecided."""
        # Longest first, and `min` keeps the first of equals: so the longest match wins.
        next_at = {needle: at for needle in self._needles if (at := data.find(needle)) != -1}
        pieces: list[bytes] = []
        done = 0
        while next_at:
            needle = min(next_at, key=next_at.__getitem__)
            start = next_at[needle]
            if start >= pending:
                break
            pieces += (data[done:start], _MASK)
            done = start + len(needle)
            if pending < done:
                pending = self._pending_from(data, done)
            _advance(next_at, data, done)
        pieces.append(data[done:pending])
        return b"".join(pieces), pending

    def _pending_from(self, data: bytes, start: int) -> int:
        """Returns the first index from `start` on at which a secret may have begun.

        That is: the rest of `data` is a proper prefix of a secret. Else the length of `data`.
        """
        pending = len(data)
        for needle in self._needles:
            at = max(start, len(data) - len(needle) + 1)
            while (at := data.find(needle[:1], at, pending)) != -1:
                if needle.startswith(data[at:]):
                    pending = at
                    break
                at += 1
        return pending


def _advance(next_at: dict[bytes, int], data: bytes, done: int) -> None:
    """Moves every match that begins before `done` to the needle's next one, or drops it."""
    for needle in [needle for needle, at in next_at.items() if at < done]:
        at = data.find(needle, done)
        if at == -1:
            del next_at[needle]
        else:
            next_at[needle] = at


def _texts_to_hide(value: str) -> Iterator[str]:
    """Yields the value, the value without the space around it, and its longer lines."""
    stripped = value.strip()
    if stripped and len(value) >= SHORTEST_VALUE:
        yield value
    if len(stripped) >= SHORTEST_VALUE:
        yield stripped
    if "\n" in stripped:
        for line in stripped.split("\n"):
            if len(line.strip()) >= SHORTEST_LINE:
                yield line.strip()
