r"""Reading `$FLOW_OUTPUT`: `key=value` lines and `key<<EOF` blocks, typed where declared.

The syntax is that of GitHub's `$GITHUB_OUTPUT`. Source: GitHub Actions documentation,
"Workflow commands", multiline strings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from flowrunner.errors import ExecutionError, ValidationError
from flowrunner.model.flow import ValueType
from flowrunner.model.ids import Json
from flowrunner.model.values import convert_text, text_of
from flowrunner.secrets.masking import HiddenTexts

OUTPUT_LIMIT = 256 * 1024
"""Bytes of `$FLOW_OUTPUT` of one node."""

_LONGEST_DETAIL = 80
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def parse_outputs(
    data: bytes, declared: Mapping[str, ValueType], hidden: Iterable[str] = ()
) -> dict[str, Json]:
    """Returns the outputs a program wrote; a name written twice keeps its last value.

    Undeclared outputs are strings. A declared one that was not written is left out.

    Raises:
        ExecutionError: ``output`` for a malformed line, name or value, or bytes that are not
            UTF-8; ``output_contains_secret`` for one that holds a text of `hidden`. Trying
            again would not help.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise output_error(f"$FLOW_OUTPUT is not UTF-8 at byte {error.start}") from error
    raw = dict(_entries(text))
    refuse_secrets(raw, hidden)  # before an error quotes one
    return {name: _typed(name, value, declared) for name, value in raw.items()}


def refuse_secrets(outputs: Mapping[str, Json], hidden: Iterable[str]) -> None:
    """Returns when no output holds a secret: in its name, a text, a number or a key.

    Looked for is what a log would mask: every form of `flowrunner.secrets.forms`, since an
    encoded secret among outputs is as readable as a plain one, and no text shorter than its
    `SHORTEST_VALUE`.

    Raises:
        ExecutionError: ``output_contains_secret``; trying again would not help.
    """
    if not outputs:
        return
    texts = HiddenTexts(hidden)
    for name, value in outputs.items():
        shown = (text.encode(errors="surrogatepass") for text in (name, *_texts(value)))
        if any(map(texts.occur_in, shown)):
            message = f"output {name} contains a secret"
            raise ExecutionError(message, code="output_contains_secret", final=True)


def _texts(value: Json) -> Iterator[str]:
    """Yields the texts that a value shows at any depth, keys included; without recursion."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Mapping):
            waiting.extend(each)
            waiting.extend(each.values())
        elif isinstance(each, list | tuple):
            waiting.extend(each)
        else:
            yield text_of(each)


def output_error(message: str, details: Mapping[str, Json] | None = None) -> ExecutionError:
    """Returns the error of outputs that cannot be used; trying again would not help.

    Args:
        message: Free of what the program wrote, which belongs into the details.
        details: Bounded facts for those who may see outputs.
    """
    return ExecutionError(message, code="output", details=details, final=True)


def _entries(text: str) -> Iterator[tuple[str, str]]:
    lines = iter(enumerate(text.split("\n"), start=1))
    for number, line in lines:
        if not line.strip():
            continue
        name, separator, rest = _split(line)
        if not _NAME.fullmatch(name) or not separator or (separator == "<<" and not rest):
            raise output_error(f"line {number} of $FLOW_OUTPUT is neither key=value nor key<<EOF")
        yield name, rest if separator == "=" else _block(number, rest, lines)


def _split(line: str) -> tuple[str, str, str]:
    """Cuts a line at its first `=` or `<<`."""
    equals, heredoc = line.find("="), line.find("<<")
    if heredoc >= 0 and (equals < 0 or heredoc < equals):
        return line[:heredoc], "<<", line[heredoc + 2 :]
    return line.partition("=")


def _block(begin: int, delimiter: str, lines: Iterator[tuple[int, str]]) -> str:
    content: list[str] = []
    for _, line in lines:
        if line == delimiter:
            return "\n".join(content)
        content.append(line)
    raise output_error(
        f"the block that begins in line {begin} of $FLOW_OUTPUT is not closed",
        {"delimiter": delimiter[:_LONGEST_DETAIL]},
    )


def _typed(name: str, text: str, declared: Mapping[str, ValueType]) -> Json:
    try:
        return convert_text(text, declared.get(name, ValueType.STRING))
    except ValidationError as error:
        raise output_error(f"output {name}: {error.message}", error.details) from error
