"""The side of a process that works for a `flowrunner.system.crew.Crew`."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import BinaryIO

from flowrunner.system.crew_frames import HEAD_BYTES, frame, size_in

LONGEST_S = 60
"""Seconds after which the kernel ends a process that is still at one piece of work.

Nobody may be left to do it: who asked may have been killed.
"""


def serve(greeting: bytes, answer: Callable[[bytes], bytes]) -> None:
    """Answers pieces of work by standard input and output until there are no more.

    Args:
        greeting: Says which version this is.
        answer: Does one piece.
    """
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what is printed is no answer
    _serve(os.fdopen(0, "rb", closefd=False), answers, greeting, answer)


def _serve(
    works: BinaryIO, answers: BinaryIO, greeting: bytes, answer: Callable[[bytes], bytes]
) -> None:
    said = greeting
    while True:
        answers.write(frame(said))
        answers.flush()
        size = size_in(works.read(HEAD_BYTES))
        if size is None:
            return
        work = works.read(size)
        if len(work) < size:
            return
        signal.alarm(LONGEST_S)  # its default is to end us, also within a library in C
        said = answer(work)
        signal.alarm(0)
