"""Results as a person or a program reads them: tables, JSON, YAML."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from flowrunner.cli.host import Host
from flowrunner.cli.text import safe
from flowrunner.model.ids import Json

_GAP = "  "
_NOTHING = "-"
_FRACTION = re.compile(r"\.[0-9]+")
_STEERING = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What JSON need not escape and a terminal may obey: DEL, C1, marks of lines and directions."""
_SHORT = 12
_QUOTED = ("program", "value", "delimiter", "error")
"""Details without which the message, which is free of data, does not say enough."""

_MINUTE_S = 60
_HOUR_S = 3_600


def show(host: Host, output: str, document: Json, as_text: Callable[[bool], str]) -> None:
    """Writes a result in the format that was asked for.

    Args:
        host: Where to.
        output: `text`, `wide`, `json` or `yaml`.
        document: The result for programs.
        as_text: Makes the result for people; told whether it may be wide.
    """
    if output == "json":
        host.say(to_json(document))
    elif output == "yaml":
        from flowrunner.cli.yaml_writer import to_yaml

        host.say(to_yaml(document).rstrip("\n"))
    else:
        host.say(as_text(output == "wide"))


def to_json(document: Json, *, indent: int | None = 2) -> str:
    """Returns JSON without a line break at its end; without an indent on one line.

    Other scripts stand as they are, but what steers a terminal is escaped: to a program it is the
    same value. Source: RFC 8259, section 7.
    """
    text = json.dumps(document, indent=indent, ensure_ascii=False)
    return _STEERING.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Returns aligned columns under their headers; what is nothing shows as a dash."""
    cells = [list(headers), *([cell(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = (
        _GAP.join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        for row in cells
    )
    return "\n".join(line.rstrip() for line in lines)


def facts(pairs: Iterable[tuple[str, object]]) -> str:
    """Returns names and values, a line each, the values aligned."""
    known = [(name, cell(value)) for name, value in pairs]
    width = max(len(name) for name, _ in known)
    return "\n".join(f"{name.ljust(width)}{_GAP}{value}" for name, value in known)


def blocks(*parts: str) -> str:
    """Returns the parts that are not empty, with an empty line between them."""
    return "\n\n".join(part for part in parts if part)


def cell(value: object) -> str:
    """Returns a value on one line; text as it is, other values as JSON."""
    if value is None or value == "":
        return _NOTHING
    if isinstance(value, str):
        return safe(value)
    return safe(json.dumps(value, ensure_ascii=False))


def clip(value: object, most: int | None) -> str:
    """Returns a value on one line, cut to so many characters; None leaves it whole."""
    text = cell(value)
    return text if most is None or len(text) <= most else text[:most] + "…"


def moment(text: str | None) -> str | None:
    """Returns a time without the fraction of its second."""
    return None if text is None else _FRACTION.sub("", text, count=1)


def short(revision: str) -> str:
    """Returns a revision or digest cut to 12 digits; `sha256:` and `-dirty` stay."""
    kind, colon, digits = revision.rpartition(":")
    digits, dirty, _ = digits.partition("-dirty")
    return f"{kind}{colon}{digits[:_SHORT]}{dirty}"


def span(start: str | None, end: str | None) -> str | None:
    """Returns how long something took: `0.25s`, `12.0s`, `3m 5s`, `2h 0m`; None until it ended."""
    if start is None or end is None:
        return None
    seconds = (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
    if seconds < 1:
        return f"{seconds:.2f}s"
    if seconds < _MINUTE_S:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S}m {whole % _MINUTE_S}s"
    return f"{whole // _HOUR_S}h {whole % _HOUR_S // _MINUTE_S}m"


def full_name(item: Json) -> str:
    """Returns the name of a flow, with its account unless that is the default one."""
    name = str(item.get("flow") or item.get("name"))
    return name if item["account"] == "default" else f"{item['account']}/{name}"


def with_reason(item: Json) -> str:
    """Returns a state, with its reason if that says more: `failed (exit_code)`."""
    says_more = item["reason"] not in ("", item["state"])
    return f"{item['state']} ({item['reason']})" if says_more else str(item["state"])


def error_text(error: Json) -> str | None:
    """Returns code and message of an error, with the data it is about; None for none."""
    if error is None:
        return None
    details = error["details"]
    quoted = [f"{name}: {details[name]!r}" for name in _QUOTED if name in details]
    about = f" ({', '.join(quoted)})" if quoted else ""
    return f"{error['code']}: {error['message']}{about}"
