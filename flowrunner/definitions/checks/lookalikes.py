"""What looks like a reference in other tools, and is plain text here: advice, never an error.

No shell reads `argv` or `env`, so nothing replaces `$HOME` there; and `{{ inputs.x }}` lacks its
dollar. Warned of is only what is hardly ever meant: programs that read such signs themselves are
left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import PurePosixPath

from flowrunner.definitions import codes
from flowrunner.definitions.build import facts_of, node_params, node_type
from flowrunner.definitions.checks.interpreters import code_arguments
from flowrunner.definitions.checks.places import Kind, param_texts
from flowrunner.definitions.checks.subject import Subject
from flowrunner.definitions.document import Path
from flowrunner.model.finding import Finding, Severity
from flowrunner.model.ids import Json

_IN_BRACES = re.compile(r"(?<![\\$])\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_BARE = re.compile(
    r"(?<![\\$])\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Z_][A-Z0-9_]*)(?![A-Za-z0-9_]))"
)
_NO_DOLLAR = re.compile(
    r"(?<!\$)\{\{\s*(?:inputs|vars|env|secrets|trigger|execution|nodes|flow)\s*[.\[]"
)
_EXPANDING = frozenset({"envsubst", "gomplate", "jq", "make", "rsync", "scp", "ssh", "xargs", "yq"})
"""Programs that give `$` a meaning of their own, or hand it to a shell elsewhere."""

_MOST = 100
"""More advice helps nobody, and must not crowd out the errors of a file."""

_OWN_TEXTS = frozenset({"fail", "log", "set"})
"""Types whose params nobody reads but FlowRunner."""

_PROMPTS = re.compile(r"PS[0-4]|PROMPT_COMMAND")
"""Variables whose value a shell expands. Source: POSIX.1-2017, 2.5.3; bash(1), PROMPTING."""


def check_lookalikes(subject: Subject) -> Iterator[Finding]:
    """Yields a warning for each text that is hardly meant as it stands, 100 at most."""
    if _may_have_any(subject):
        yield from islice(_lookalikes(subject), _MOST)


def _may_have_any(subject: Subject) -> bool:
    """Whether a closer look can find anything: not where each brace opens an expression."""
    texts = [text for path, text in subject.braced if path[2:] != ("run",)]
    if "{" in "\n".join(texts).replace("${{", ""):
        return True
    nodes = [node for _, node in subject.all_nodes]
    return any("working_dir" in node or node.get("type") == "exec" for node in nodes)


def _lookalikes(subject: Subject) -> Iterator[Finding]:
    yield from _env(subject, ("env",), _own_env(subject))
    for at, node in subject.all_nodes:
        if "env" in node:
            yield from _env(subject, (*at, "env"), node["env"])
        if "stdin" in node or "working_dir" in node:
            yield from _process(subject, at, node)
        facts = None if "run" in node else facts_of(node, subject.catalog)
        if facts is None:
            continue
        params = node_params(node)
        for path, text, kind in param_texts(params, facts.schema, (*at, "params"), Kind.LITERAL):
            if kind is Kind.PARAM and "{" in text:
                yield from _braces(subject, path, text)
                if node_type(node) in _OWN_TEXTS:
                    yield from _text(subject, path, text)
        if node_type(node) == "exec":
            yield from _argv(subject, (*at, "params", "argv"), params.get("argv", []))


def _process(subject: Subject, at: Path, node: Mapping[str, Json]) -> Iterator[Finding]:
    if isinstance(node.get("stdin"), str):
        yield from _braces(subject, (*at, "stdin"), node["stdin"])
    match = _BARE.search(str(node.get("working_dir", "")))
    if match is not None:
        hint = f'change there in the script: cd "{match[0]}"'
        yield _variable(subject, (*at, "working_dir"), match, hint)


def _own_env(subject: Subject) -> dict[str, Json]:
    """Returns what stands in the file itself: of what is above, each flow would be told anew."""
    written = subject.document.data
    own = written.get("env") if isinstance(written, dict) else None
    names = own if isinstance(own, dict) else {}
    return {name: value for name, value in subject.data.get("env", {}).items() if name in names}


def _env(subject: Subject, path: Path, env: Mapping[str, Json]) -> Iterator[Finding]:
    for name, value in env.items():
        if not isinstance(value, str) or "{" not in value:
            continue
        yield from _braces(subject, (*path, name), value)
        match = _IN_BRACES.search(value)
        if match is not None and not _PROMPTS.fullmatch(name):
            hint = (
                f"nothing reads variables in 'env'; in a script write {match[0]} where it is used"
            )
            yield _variable(subject, (*path, name), match, hint)


def _text(subject: Subject, path: Path, text: str) -> Iterator[Finding]:
    match = _IN_BRACES.search(text)
    if match is not None:
        yield _variable(subject, path, match, "an expression is written ${{ … }}")


def _argv(subject: Subject, path: Path, argv: Sequence[Json]) -> Iterator[Finding]:
    code = code_arguments(argv)
    for index, word in enumerate(argv):
        if not isinstance(word, str):
            continue
        if PurePosixPath(word).name in _EXPANDING:
            return
        match = _BARE.search(word)
        if match is not None and index not in code:
            hint = f"no shell reads 'argv'; use run: and write \"{match[0]}\" there"
            yield _variable(subject, (*path, index), match, hint)


def _variable(subject: Subject, path: Path, match: re.Match[str], hint: str) -> Finding:
    return subject.document.finding(
        codes.VARIABLE_NOT_EXPANDED,
        f"{match[0]} is not replaced here: it is passed on as it stands",
        path=path,
        offset=match.start(),
        hint=hint,
        severity=Severity.WARNING,
    )


def _braces(subject: Subject, path: Path, text: str) -> Iterator[Finding]:
    match = _NO_DOLLAR.search(text)
    if match is not None:
        yield subject.document.finding(
            codes.BRACES_WITHOUT_DOLLAR,
            "this is no expression: the dollar before {{ is missing",
            path=path,
            offset=match.start(),
            hint="write ${{ … }}",
            severity=Severity.WARNING,
        )
