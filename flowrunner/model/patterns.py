"""Regular expressions that come from flows: matched in time linear in the text, or refused.

Python's own `re` goes back and forth and can take for ever on a text that a stranger sent. Here
matches the automaton of Rust's `regex`, which jsonschema-rs carries with it; what it cannot do
(looking around, back references) is refused when the pattern is read.

Source of the syntax: ECMA-262, to which JSON Schema 2020-12 refers, less what is not regular.
"""

from __future__ import annotations

import json
from dataclasses import field
from functools import lru_cache
from typing import Any

from flowrunner.dataclass import dataclass
from flowrunner.errors import ValidationError

LONGEST_PATTERN = 1_000
"""Characters of a pattern: longer ones are lists, and lists have better places."""

_COMPILED_LIMIT = 1024 * 1024
"""Bytes that a compiled pattern, and the cache of a search, may take."""

_KEPT = 1_000


class PatternError(ValidationError):
    """A text is no pattern, or one that cannot be matched in linear time."""

    default_code = "pattern"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern, ready to be looked for; `parse_pattern` makes one.

    Attributes:
        source: As written.
    """

    source: str
    _validator: Any = field(repr=False, compare=False)

    def is_in(self, text: str) -> bool:
        """Whether the pattern fits somewhere in the text; `^` and `$` tie it to the ends.

        A lone surrogate, which is no character, counts as U+FFFD.
        """
        try:
            return bool(self._validator.is_valid(text))
        except UnicodeEncodeError:
            clean = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            return bool(self._validator.is_valid(clean))


@lru_cache(maxsize=_KEPT)
def parse_pattern(source: str) -> Pattern:
    """Returns the pattern that a text is.

    Raises:
        PatternError: ``pattern``: it is malformed, longer than 1,000 characters, larger than
            1 MiB when compiled, or needs more than linear time.
    """
    import jsonschema_rs  # 15 MB: most commands match nothing

    if len(source) > LONGEST_PATTERN:
        raise PatternError(f"a pattern has at most {LONGEST_PATTERN:,} characters")
    limits = jsonschema_rs.RegexOptions(size_limit=_COMPILED_LIMIT, dfa_size_limit=_COMPILED_LIMIT)
    try:
        validator = jsonschema_rs.Draft202012Validator({"pattern": source}, pattern_options=limits)
    except (ValueError, UnicodeEncodeError) as error:
        shown = json.dumps(source[:60])
        raise PatternError(
            f"{shown} is not a regular expression that takes linear time",
            details={"hint": hint_for(source)},
        ) from error
    return Pattern(source, validator)


def hint_for(source: str) -> str:
    """Returns what to say about a pattern that was refused."""
    if any(sign in source for sign in ("(?=", "(?!", "(?<=", "(?<!")):
        return "looking ahead or behind is not regular; write two conditions"
    if any(f"\\{digit}" in source for digit in range(1, 10)):
        return "a back reference such as \\1 is not regular"
    return "check brackets, braces and escapes; repetitions are bounded by the size of the result"
