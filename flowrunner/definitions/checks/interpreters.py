"""Which arguments of a program are code: those that take no data, by section 5 of the format.

A table of interpreters and how each is told its code, read the way they read their own command
lines. It knows only what an author may write by accident; a program that hides an interpreter is
beyond it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

_VERSION = "0123456789."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Interpreter:
    """How an interpreter is told its code.

    Attributes:
        option: The option before the code; what is left of its word is code already.
        valued: Options followed by something else.
        files: Options followed by a file of code, so that no plain word is code.
        takes_plain: Whether the first plain word is code when no option brought any.
        is_delayed: Whether other options may stand between the option and the code.
        reads_on: Whether options may follow plain words.
    """

    option: re.Pattern[str]
    valued: re.Pattern[str] = re.compile(r"(?!)")
    files: frozenset[str] = frozenset()
    takes_plain: bool = False
    is_delayed: bool = False
    reads_on: bool = False


_SHELL = _Interpreter(
    option=re.compile(r"-[A-Za-z]*c[A-Za-z]*\Z"),
    valued=re.compile(r"[-+][A-Za-z]*[oO]|--rcfile|--init-file"),
    is_delayed=True,
)
_PYTHON = _Interpreter(
    option=re.compile(r"-[bBdEhiIOPqRsSuvx]*c"), valued=re.compile(r"-[WX]|--check-hash-based-pycs")
)
_PERL = _Interpreter(option=re.compile(r"-[aclnpstuwWi0F]*[eE]"))
_RUBY = _Interpreter(option=re.compile(r"-[alnpsSvwW]*e"), valued=re.compile(r"-[rIC]"))
_NODE = _Interpreter(
    option=re.compile(r"(?:-e|-p|-pe|--eval|--print)(?:=|\Z)"),
    valued=re.compile(r"-r|--require|--import"),
)
_PHP = _Interpreter(option=re.compile(r"-[rBRE]"), valued=re.compile(r"-[dc]"))
_AWK = _Interpreter(
    option=re.compile(r"-e|--source(?:=|\Z)"),
    valued=re.compile(r"-[Fvil]"),
    files=frozenset({"-f", "--file"}),
    takes_plain=True,
)
_SED = _Interpreter(
    option=re.compile(r"-[nEruzs]*e|--expression(?:=|\Z)"),
    valued=re.compile(r"-l"),
    files=frozenset({"-f", "--file"}),
    takes_plain=True,
)
_COMMAND = _Interpreter(option=re.compile(r"-c|--command(?:=|\Z)"), reads_on=True)
_EXECUTE = _Interpreter(option=re.compile(r"-e|--execute(?:=|\Z)"), reads_on=True)

_BY_NAME: Mapping[str, _Interpreter] = {
    **dict.fromkeys(("sh", "ash", "bash", "dash", "ksh", "mksh", "zsh"), _SHELL),
    **dict.fromkeys(("python", "pypy"), _PYTHON),
    **dict.fromkeys(("awk", "gawk", "mawk", "nawk"), _AWK),
    **dict.fromkeys(("su", "runuser", "fish", "psql"), _COMMAND),
    **dict.fromkeys(("mysql", "mariadb"), _EXECUTE),
    "node": _NODE,
    "perl": _PERL,
    "php": _PHP,
    "ruby": _RUBY,
    "sed": _SED,
}


def code_arguments(argv: Sequence[object]) -> frozenset[int]:
    """Returns the positions in an argv that an interpreter would parse as code.

    The interpreter may stand behind another program, as in `sudo -u app sh -c …`; one that takes
    code without an option (awk, sed) counts only in front, where its name is no mere argument.
    Linear in the arguments.
    """
    words = [str(word) for word in argv]
    found: set[int] = set()
    seen: set[tuple[int, int, bool]] = set()
    for index, word in enumerate(words):
        interpreter = _BY_NAME.get(PurePosixPath(word).name.rstrip(_VERSION))
        if interpreter is not None and (index == 0 or not interpreter.takes_plain):
            found.update(_code_of(interpreter, words, index + 1, seen))
    return frozenset(index for index in found if index < len(words))


def _code_of(
    interpreter: _Interpreter,
    words: Sequence[str],
    index: int,
    seen: set[tuple[int, int, bool]],
) -> Iterator[int]:
    """Yields the positions of code from `index` on, up to a place that was seen before."""
    is_plain_code = interpreter.takes_plain
    while index < len(words):
        state = (id(interpreter), index, is_plain_code)
        if state in seen:
            return
        seen.add(state)
        word = words[index]
        option = interpreter.option.match(word)
        is_valued = interpreter.valued.fullmatch(word) is not None
        if option is not None and not interpreter.is_delayed:
            is_attached = option.end() < len(word) or word.endswith("=")
            yield index if is_attached else index + 1
            is_plain_code = False
            is_valued = not is_attached
        elif option is not None:
            is_plain_code = True
        elif word in interpreter.files:
            is_plain_code, is_valued = False, True
        elif not is_valued and not _is_option(word):
            if is_plain_code:
                yield index
            if is_plain_code or not interpreter.reads_on:
                return
        index += 2 if is_valued else 1


def _is_option(word: str) -> bool:
    return len(word) > 1 and word[0] in "-+"
