"""A follower of retried nodes: whatever happens between two pages, each line comes once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from flowrunner.service.log_pages import LoggedAttempt, read_page
from flowrunner.service.views import LogCursor
from flowrunner.web.log_cursor import pack_cursor, unpack_cursor

STAMP = "2026-03-30T02:30:00.000000+00:00 stdout F "
NODES = ("a", "b", "m.0", "m.1", "m.2")
ITEMS = NODES[2:]
"""Of one node with items; the others have none."""
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("print"), st.sampled_from(NODES), st.integers(1, 3)),
        st.tuples(st.just("half"), st.sampled_from(NODES), st.just(0)),
        st.tuples(st.just("retry"), st.sampled_from(NODES), st.just(0)),
        st.tuples(st.just("last"), st.sampled_from(ITEMS), st.just(0)),
        st.tuples(st.just("page"), st.just(""), st.just(0)),
    ),
    max_size=30,
)


class Story:
    """Attempts that print, end and are tried again, and a follower."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._attempts: dict[tuple[str, int], LoggedAttempt] = {}
        self._current = dict.fromkeys(NODES, 0)
        self._half = dict.fromkeys(NODES, "")
        self._cursor = LogCursor()
        self._ended = set[str]()
        self.printed: dict[str, list[str]] = {node: [] for node in NODES}
        self.seen: dict[str, list[str]] = {node: [] for node in NODES}
        for node in NODES:
            self.retry(node)

    def print(self, node: str, count: int) -> None:
        if node in self._ended:
            return
        for _ in range(count):
            line = f"{self._current[node]}:{len(self.printed[node])}"
            whole = STAMP + line + "\n"
            self._write(node, whole.removeprefix(self._half[node]))
            self._half[node] = ""
            self.printed[node].append(line)

    def half(self, node: str) -> None:
        """The disk has the beginning of a line, while somebody reads."""
        if not self._half[node] and node not in self._ended:
            self._half[node] = STAMP[:10]
            self._write(node, self._half[node])

    def retry(self, node: str) -> None:
        number = self._current[node]
        if node in self._ended:
            return
        if number:
            self.print(node, 1)  # the line begun is ended before the attempt is
            key = (node, number)
            self._attempts[key] = replace(self._attempts[key], has_ended=True)
        self._current[node] = number + 1
        name, _, item = node.partition(".")
        self._attempts[node, number + 1] = LoggedAttempt(
            node=name,
            item=int(item) if item else None,
            number=number + 1,
            position=("a", "b", "m").index(name),
            has_ended=False,
            path=self._folder / f"{node}.{number + 1}.log",
        )

    def last(self, item: str) -> None:
        """An item ends: it is tried no more."""
        if item not in self._ended:
            self.print(item, 1)
            key = (item, self._current[item])
            self._attempts[key] = replace(self._attempts[key], has_ended=True, is_last=True)
            self._ended.add(item)

    def page(self, *, execution_ended: bool = False) -> bool:
        cursor = unpack_cursor(pack_cursor(self._cursor))
        attempts = list(self._attempts.values())
        page = read_page(attempts, cursor, execution_ended=execution_ended)
        for chunk in page.chunks:
            self.seen[chunk.name] += [line.text for line in chunk.lines]
        self._cursor = page.cursor
        return page.is_complete

    def _write(self, node: str, text: str) -> None:
        path = self._attempts[node, self._current[node]].path
        with path.open("a") as file:
            file.write(text)


@contextmanager
def a_story() -> Iterator[Story]:
    with tempfile.TemporaryDirectory() as folder:
        yield Story(Path(folder))


@given(ACTIONS)
def test_each_line_of_each_attempt_comes_once_and_in_order(
    actions: list[tuple[str, str, int]],
) -> None:
    """No line is lost or doubled where one attempt follows another, nor while one is written."""
    with a_story() as story:
        for action, node, count in actions:
            if action == "print":
                story.print(node, count)
            elif action == "half":
                story.half(node)
            elif action == "retry":
                story.retry(node)
            elif action == "last":
                story.last(node)
            else:
                story.page()
        for node in NODES:
            story.retry(node)
        while not story.page(execution_ended=True):
            pass
        assert story.seen == story.printed
