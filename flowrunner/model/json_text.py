"""JSON texts by an encoder that is made once.

The library makes the one in C anew for every text, which takes longer than a small text itself,
and a first start writes hundreds of thousands of those.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from json import encoder as _library

from flowrunner.model.ids import Json


def encoder(
    *,
    separators: tuple[str, str] = (",", ":"),
    sort_keys: bool = False,
    ensure_ascii: bool = True,
    allow_nan: bool = True,
) -> Callable[[Json], str]:
    """Returns what gives the text that `json.JSONEncoder` does; the value must hold no circle."""
    plain = json.JSONEncoder(
        separators=separators,
        sort_keys=sort_keys,
        ensure_ascii=ensure_ascii,
        allow_nan=allow_nan,
        check_circular=False,
    )
    make = getattr(_library, "c_make_encoder", None)  # as `JSONEncoder.iterencode` asks
    if make is None:
        return plain.encode
    quoted: Callable[[str], str] = (
        _library.encode_basestring_ascii if ensure_ascii else _library.encode_basestring
    )
    colon, comma = plain.key_separator, plain.item_separator
    parts = make(None, plain.default, quoted, None, colon, comma, sort_keys, False, allow_nan)

    def encode(value: Json) -> str:
        return quoted(value) if type(value) is str else "".join(parts(value, 0))

    return encode
