"""Files that nobody writes by accident: built here, since no editor should have to open them.

Each says which finding it has, as `CODE line:column`, or that it has none. Run as a program it
compiles them all in this process, under whatever limits the caller has set, and prints JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass

MIB = 1024**2
HEAD = "version: 1\nname: example\n"
NODES = "nodes:\n  - id: build\n    run: make\n"
FLOW = HEAD + NODES


@dataclass(frozen=True, slots=True)
class Hostile:
    """A file and what is found in it; `most` bounds the number of findings."""

    name: str
    data: bytes
    first: str
    most: int = 1


def hostile_files() -> Iterator[Hostile]:
    """Yields every file, a few MiB at a time."""
    yield from _explosions()
    yield from _nesting()
    yield from _numbers()
    yield from _characters()
    yield from _long_lines()
    yield from _crowds()


def _explosions() -> Iterator[Hostile]:
    lists = "".join(f"a{n}: &a{n} [{_times(f'*a{n - 1}')}]\n" for n in range(1, 12))
    yield _file("alias-bomb", "a0: &a0 [x]\n" + lists, "FR108 6:40")
    text = 'a: &a "' + "x" * 500_000 + '"\nb: [' + "*a, " * 100_000 + "*a]\n"
    yield _file("alias-of-a-long-text", text, "FR108 2:53")
    merges = "".join(
        f"a{n}: &a{n} {{<<: [{_times(f'*a{n - 1}')}], k{n}: v}}\n" for n in range(1, 12)
    )
    yield _file("merge-keys", "a0: &a0 {k: v}\n" + merges, "FR112 2:10")


def _times(text: str) -> str:
    return ", ".join([text] * 9)


def _nesting() -> Iterator[Hostile]:
    # The parser reads 1,000 brackets ahead of the first event; our own bound is 50.
    yield _file("brackets", "[" * 200_000, "FR105 1:1001")
    yield _file("braces", "{" * 200_000, "FR105 1:1001")
    yield _file("brackets-closed", "[" * 200_000 + "]" * 200_000, "FR105 1:1001")
    yield _file("lists-in-mappings", "[{a: " * 100_000, "FR105 1:126")
    yield _file("dashes", "- " * 200_000, "FR105 1:101")
    yield _file("keys-of-keys", "? " * 200_000, "FR113 1:3")
    yield _file("mappings", FLOW + "vars: " + "{a: " * 100_000, "FR105 6:203")
    yield _file("deep-but-fine", FLOW + "vars: " + "{a: " * 49 + "1" + "}" * 49 + "\n", "")
    yield _file(
        "one-too-deep", FLOW + "vars: " + "{a: " * 50 + "1" + "}" * 50 + "\n", "FR105 6:203"
    )
    steps = "".join(" " * depth + "a:\n" for depth in range(1_400))
    yield _file("indentation", steps, "FR105 51:51")


def _numbers() -> Iterator[Hostile]:
    digits = "9" * 200_000
    for name, number in (
        ("integer", digits),
        ("float", digits + ".5"),
        ("exponent", "1e" + digits),
    ):
        yield _file(f"digits-{name}", f"{FLOW}vars: {{n: {number}}}\n", "FR114 6:11")
    yield _file("digits-of-a-bound", f"{FLOW}concurrency: {{limit: {digits}}}\n", "FR114 6:22")


def _characters() -> Iterator[Hostile]:
    yield _file("nul", HEAD + "description: a\0b\n" + NODES, "FR107 3:15")
    yield _file("nul-escaped-in-a-script", HEAD + 'nodes: [{id: a, run: "\\0"}]\n', "FR205 3:22")
    for name, escape in (("half", "\\ud800"), ("pair", "\\ud83d\\ude00"), ("long", "\\U0000d800")):
        text = f'{HEAD}description: "a{escape}"\n{NODES}'
        yield _file(f"surrogate-{name}", text, "FR101 3:18")
    surrogate = HEAD.encode() + b"description: a\xed\xa0\x80\n" + NODES.encode()
    yield Hostile("surrogate-as-bytes", surrogate, "FR107 3:15")
    yield _file("line-ends-of-windows", FLOW.replace("\n", "\r\n"), "")
    yield _file("line-ends-of-old-macs", FLOW.replace("\n", "\r"), "")
    yield _file(
        "wrong-below-windows-line-ends", (FLOW + "nmae: x\n").replace("\n", "\r\n"), "FR201 6:1"
    )
    yield _file("byte-order-mark", "\ufeff" + FLOW, "")
    yield _file("wrong-below-a-mark", "\ufeffnmae: x\n" + FLOW, "FR201 1:1")
    for name in ("utf-16-le", "utf-16-be", "utf-32-le"):
        yield Hostile(f"mark-{name}", ("\ufeff" + FLOW).encode(name), "FR107 1:1")
    yield Hostile("utf-16-without-a-mark", FLOW.encode("utf-16-le"), "FR107 1:2")
    yield _file("tabs", "\t" * (MIB - 1), "FR101 1:1")
    yield _file("tab-on-every-line", "\t\n" * (MIB // 2 - 1), "FR101 1:1")


def _long_lines() -> Iterator[Hostile]:
    node = HEAD + "nodes:\n  - id: build\n    run: make\n    "
    yield _line("plain", FLOW + "description: ", "x", "\n", "")
    yield _line("words", FLOW + "description: ", "x ", "y\n", "")
    yield _line("quoted", FLOW + 'description: "', "x", '"\n', "")
    yield _line("escapes", FLOW + 'description: "', "\\u0041", '"\n', "")
    yield _line("comment", FLOW + "#", "x", "\n", "")
    yield _line("spaces", FLOW, " ", "\n", "")
    yield _line("script", HEAD + "nodes:\n  - id: a\n    run: |\n      ", "x", "\n", "")
    yield _line("key", FLOW, "k", ": v\n", "FR101 6:1")
    yield _line("quoted-key", FLOW + '"', "k", '": v\n', "FR101 6:1")
    yield _line("explicit-key", FLOW + "? ", "k", "\n: v\n", "FR113 6:3")
    yield _line("name", "version: 1\nname: ", "x", "\n" + NODES, "FR207 2:7")
    yield _line("condition", node + "if: ", "(", "\n", "FR401 6:9")
    yield _line("operators", node + "if: ", "a || ", "a\n", "FR401 6:9")
    yield _line("unclosed", node + "env: {A: '", "${{", "'}\n", "FR401 6:15")
    yield _line(
        "in-script", HEAD + "nodes:\n  - id: a\n    run: '", "${{ x }}", "'\n", "FR405 5:11"
    )
    yield _line("expressions", node + "env: {A: '", "${{ a }}", "'}\n", "FR402 6:19", most=2_000)
    trigger = FLOW + "triggers: [{type: schedule, "
    yield _line("cron", trigger + "cron: '", "1 ", "'}]\n", "FR306 6:35")
    yield _line("zone", trigger + "cron: '@daily', timezone: '", "a/", "'}]\n", "FR307 6:55")
    yield _line("duration", node + "timeout: '", "1", "'\n", "FR206 6:14")
    argv = HEAD + "nodes: [{id: a, type: exec, params: {argv: [x, '"
    yield _line("dollars", argv, "$", "']}}]\n", "")
    yield _line("open-braces", argv, "${A", "']}}]\n", "")
    yield _line("spaces-in-braces", argv + "{{", " ", "']}}]\n", "")


def _crowds() -> Iterator[Hostile]:
    yield _file("items", "- \n" * (MIB // 3), "FR108 100000:2")
    yield _file("items-in-a-line", "- " * (MIB // 2), "FR105 1:101")
    yield _file("keys", FLOW + "".join(f"k{n}: v\n" for n in range(100_000)), "FR108 50000:1")
    yield _file("key-again-and-again", FLOW + "a: b\n" * 5_000, "FR102 7:1")
    near = "".join(f"descriptio{n}: v\n" for n in range(5_000))
    yield _file("unknown-keys", FLOW + near, "FR201 6:1", most=1_000)
    nodes = "".join(f"- {{id: a{n}, run: b, tmeout{n}: 1s, ned: []}}\n" for n in range(4_000))
    yield _file("unknown-keys-of-nodes", f"{HEAD}nodes:\n{nodes}", "FR201 4:20", most=1_000)
    nulls = "- \n" * 90_000
    yield _file("nodes-of-nothing", f"{HEAD}nodes:\n{nulls}", "FR205 4:1", most=1_000)
    env = ", ".join(f"A{n}: '${{X}}'" for n in range(20_000))
    yield _file(
        "advice", f"{HEAD}nodes: [{{id: a, run: b, env: {{{env}}}}}]\n", "FR510 3:36", most=100
    )
    yield _file("documents", "---\n" * 200_000, "FR104 2:1")
    yield _file("directives", "%TAG ! x\n" * 50_000, "FR103 1:1")
    yield _file("comments", "# x\n" * (MIB // 4 - 1), "FR109 1:1")
    yield Hostile("too-large", b"#" * (MIB + 1), "FR106 1:1")


def _file(name: str, text: str, first: str, most: int = 1) -> Hostile:
    return Hostile(name, text.encode(), first, most)


def _line(name: str, before: str, filling: str, after: str, first: str, most: int = 1) -> Hostile:
    """Returns a file of nearly 1 MiB, most of it on one line."""
    count = (MIB - 10 - len(before) - len(after)) // len(filling)
    return _file(f"line-{name}", before + filling * count + after, first, most)


def main() -> None:
    """Compiles every file and prints how many findings each has, and where the first one is."""
    from tests.fakes.nodes import builtin_compiler

    compiler = builtin_compiler()
    for file in hostile_files():
        findings = compiler.read(file.data, file="f.yaml", account="default").findings
        first = [f"{f.code} {f.line}:{f.column}" for f in findings[:1]]
        json.dump([file.name, len(findings), "".join(first)], sys.stdout)
        sys.stdout.write("\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
