"""Which of several representations a client prefers. Source: RFC 9110, section 12.5.1."""

from __future__ import annotations

from flowrunner.dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class _Range:
    """One entry of an `Accept` header; the more it says, the better it counts for its type."""

    type: str
    quality: float

    def fit(self, media_type: str) -> int:
        """Returns how exactly it names a type: 0 not at all, 3 by its name."""
        if self.type == media_type:
            return 3
        if self.type == media_type.partition("/")[0] + "/*":
            return 2
        return 1 if self.type == "*/*" else 0


def preferred(accept: str, offers: tuple[str, ...]) -> str:
    """Returns the offer that the header likes best; the first one when it likes none.

    An answer in another form helps more than a refusal, so there is no 406.
    """
    ranges = [_range_of(entry) for entry in accept.split(",") if entry.strip()]
    return max(offers, key=lambda offer: _quality(offer, ranges))


def _quality(offer: str, ranges: list[_Range]) -> float:
    fitting = [entry for entry in ranges if entry.fit(offer)]
    return max(fitting, key=lambda entry: entry.fit(offer)).quality if fitting else 0.0


def _range_of(entry: str) -> _Range:
    media_type, *parameters = entry.lower().split(";")
    quality = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            quality = _number(value.strip())
    return _Range(type=media_type.strip(), quality=quality)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
