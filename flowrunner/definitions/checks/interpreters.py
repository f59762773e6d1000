"""Which arguments of a program are code: those that take no data, by section 5 of the format.

Reads a command line as the interpreter in it would, by `interpreter_table`. It knows only what an
author may write by accident; a program that hides an interpreter is beyond it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import TypeAlias

from flowrunner.definitions.checks.interpreter_table import (
    INTERPRETERS,
    RUNS_BEHIND,
    WRAPPERS,
    Interpreter,
    Wrapper,
)

_State: TypeAlias = tuple[int, int, int | None]
"""An interpreter, a position, and how many plain words it still skips."""

_VERSION = "0123456789."
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


def code_arguments(argv: Sequence[object]) -> frozenset[int]:
    """Returns the positions in an argv that an interpreter would parse as code.

    The interpreter may stand behind another program, as in `sudo -u app sh -c …`. One whose name
    is a common argument (awk, ssh) counts only where a program is named: in front, or behind
    programs known to run another. Linear in the arguments.
    """
    words = [str(word) for word in argv]
    programs = frozenset(_programs(words))
    found: set[int] = set()
    seen: set[_State] = set()
    for index, word in enumerate(words):
        interpreter = INTERPRETERS.get(_name(word).rstrip(_VERSION))
        if interpreter is not None and (index in programs or not interpreter.is_plain_name):
            reading = _Reading(interpreter, words, seen)
            found.update(reading.code_from(index + 1))
            if reading.took_rest:
                break
    return frozenset(index for index in found if index < len(words))


def _name(word: str) -> str:
    return PurePosixPath(word).name


def _programs(words: Sequence[str]) -> Iterator[int]:
    """Yields where a program is named: the first word, and what each program there runs."""
    index, end = 0, len(words)
    while index < end:
        yield index
        name = _name(words[index])
        if name in RUNS_BEHIND:
            yield from (at + 1 for at in range(index, end) if words[at] in RUNS_BEHIND[name])
        wrapper = WRAPPERS.get(name)
        index = end if wrapper is None else _run_by(wrapper, words, index + 1)


def _run_by(wrapper: Wrapper, words: Sequence[str], index: int) -> int:
    """Returns where a wrapper with its arguments from `index` on names its program."""
    skipped, groups = wrapper.skipped, wrapper.groups
    while index < len(words):
        word = words[index]
        is_variable = wrapper.takes_variables and _VARIABLE.match(word)
        if wrapper.valued.fullmatch(word):
            index += 1
        elif not _is_option(word) and not is_variable:
            if skipped == 0:
                break
            skipped -= word not in groups
            groups = frozenset()  # only the first plain word can be one
        index += 1
    return index


class _Reading:
    """An interpreter at its command line.

    Args:
        interpreter: Who reads.
        words: The whole argv.
        seen: States that were read before, by all readings: what follows them is known.

    Attributes:
        took_rest: Whether everything from some word on is code.
    """

    def __init__(self, interpreter: Interpreter, words: Sequence[str], seen: set[_State]) -> None:
        self._interpreter = interpreter
        self._words = words
        self._seen = seen
        self._skipped = interpreter.skipped  # plain words before the code; None: none is code
        self.took_rest = False

    def code_from(self, index: int) -> Iterator[int]:
        """Yields the positions of code from `index` on."""
        interpreter, words = self._interpreter, self._words
        while index < len(words):
            word, state = words[index], (id(interpreter), index, self._skipped)
            if state in self._seen or interpreter.quits.fullmatch(word):
                return
            self._seen.add(state)
            option = interpreter.option.match(word)
            width = self._width(word)
            if option is not None and not interpreter.is_delayed:
                is_attached = option.end() < len(word) or word.endswith("=")
                index += 0 if is_attached else 1
                yield from self._behind_option(index)
                if self.took_rest:
                    return
            elif option is not None:
                self._skipped = 0
                index += max(1, width) - 1
            elif width:
                index += width - 1
            elif self._is_last():
                yield from self._plain(index)
                return
            index += 1

    def _behind_option(self, index: int) -> Iterator[int]:
        interpreter = self._interpreter
        if interpreter.skipped is None and interpreter.takes_rest:
            yield from self._rest(index)
        else:
            yield index
        if not interpreter.takes_rest:
            self._skipped = None

    def _is_last(self) -> bool:
        """Counts a plain word; returns whether nothing behind it is an option of ours."""
        if self._skipped is None:
            return not self._interpreter.reads_on
        self._skipped -= 1
        return self._skipped < 0

    def _plain(self, index: int) -> Iterator[int]:
        """Yields the plain word that is code, and what follows as far as it is."""
        if self._skipped is not None and not self._interpreter.is_run:
            yield from self._rest(index) if self._interpreter.takes_rest else (index,)

    def _rest(self, index: int) -> Iterator[int]:
        self.took_rest = True
        yield from range(index, len(self._words))

    def _width(self, word: str) -> int:
        """Returns how many words an option takes up; 0 for a plain word."""
        interpreter = self._interpreter
        if interpreter.files.fullmatch(word):
            self._skipped = None
            return 2
        if interpreter.valued.fullmatch(word):
            return 2
        if interpreter.paired.fullmatch(word):
            return 3
        return 1 if _is_option(word) else 0


def _is_option(word: str) -> bool:
    return len(word) > 1 and word[0] in "-+"
