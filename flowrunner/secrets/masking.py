"""Replaces secrets in a stream of bytes, however the stream is cut into chunks.

Hidden is every form that `flowrunner.secrets.forms` knows. Each becomes the same three stars,
whatever its length. Finding them is the business of `flowrunner.secrets.search`.
"""

from __future__ import annotations

from collections.abc import Iterable

from flowrunner.model.secret import MASK
from flowrunner.secrets.forms import forms_of
from flowrunner.secrets.search import Searcher

_MASK = MASK.encode()
_REMEMBERED = 16


class HiddenTexts:
    """Some secrets in all their forms; made once for all streams that hide them.

    Args:
        values: The secret texts, of any number and length.
    """

    def __init__(self, values: Iterable[str]) -> None:
        self._searcher = Searcher(forms_of(values))

    def occur_in(self, data: bytes) -> bool:
        """Whether some data hold what would be masked."""
        return self._searcher.occurs_in(data)

    def mask(self, data: bytes) -> bytes:
        """Returns some data, a whole stream, masked."""
        masker = self.masker()
        return masker.feed(data) + masker.flush()

    def masker(self) -> Masker:
        """Returns a masker for one stream."""
        return Masker(self._searcher)


class MaskerCache:
    """Gives maskers, and remembers the forms of the values it was asked for last.

    The attempts of a flow hide mostly the same values, and to work out the forms of a private key
    takes milliseconds. Not for several threads.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], HiddenTexts] = {}

    def masker(self, values: tuple[str, ...]) -> Masker:
        """Returns a masker for one stream."""
        hidden = self._known.pop(values, None) or HiddenTexts(values)
        self._known[values] = hidden
        if len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]
        return hidden.masker()


class Masker:
    """Masks one stream. Not for two streams at once: it remembers the end of the last chunk.

    Of secrets that begin at the same byte the longest wins; of secrets that overlap the first.
    """

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Returns what can be told by now, masked.

        Held back is only a tail that may be the beginning of a secret.
        """
        if self._searcher.is_idle:
            return data
        data = self._held + data
        masked, rest = self._mask(data, self._searcher.pending_from(data, 0))
        self._held = data[rest:]
        return masked

    def flush(self) -> bytes:
        """Returns what was held back, masked: the stream has ended."""
        masked, _ = self._mask(self._held, len(self._held))
        self._held = b""
        return masked

    def _mask(self, data: bytes, pending: int) -> tuple[bytes, int]:
        """Masks up to `pending`; also returns the index of the first byte left undecided."""
        matches = self._searcher.found_in(data)
        pieces: list[bytes] = []
        done = 0
        while (match := matches.next_from(done, pending)) is not None:
            start, end = match
            pieces += (data[done:start], _MASK)
            done = end
            if pending < done:
                pending = self._searcher.pending_from(data, done)
        if not pieces and pending == len(data):
            return data, pending
        pieces.append(data[done:pending])
        return b"".join(pieces), pending
