"""Expressions before they run: syntax, every name they use, and where they may stand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property

from flowrunner.definitions import codes
from flowrunner.definitions.build import facts_of, node_type
from flowrunner.definitions.checks.flow_order import FlowOrder
from flowrunner.definitions.checks.kinds import ITEM_CONTEXTS, TYPED, FlowKinds, misfits
from flowrunner.definitions.checks.places import BARE, Kind, Place, places
from flowrunner.definitions.checks.secrecy import (
    Complaint,
    complaint_about,
    complaints_about,
)
from flowrunner.definitions.checks.subject import Subject
from flowrunner.definitions.checks.texts import Uses
from flowrunner.definitions.codes import Code
from flowrunner.definitions.hints import did_you_mean, known_here, meant_or_known
from flowrunner.definitions.templates import find_expression
from flowrunner.model.delivery import HIDDEN_HEADERS
from flowrunner.model.expressions import ExpressionSyntaxError, Reference
from flowrunner.model.expressions.secrecy import SECRETS
from flowrunner.model.expressions.types import Misfit
from flowrunner.model.finding import Finding, Severity

_BASE: Mapping[Kind, frozenset[str]] = {
    Kind.CONDITION: frozenset(
        {"inputs", "vars", "env", "trigger", "execution", "nodes", "flow", "host", "secrets"}
    ),
    Kind.FLOW_ENV: frozenset({"inputs", "vars", "secrets", "trigger", "execution", "flow", "host"}),
    Kind.TRIGGER_CONDITION: frozenset({"vars", "trigger", "execution", "flow", "secrets"}),
    Kind.GROUP: frozenset({"inputs", "vars", "env", "trigger", "flow", "secrets"}),
}
_CONTEXTS: Mapping[Kind, frozenset[str]] = {
    **_BASE,
    Kind.RETRY: _BASE[Kind.CONDITION] | {"attempt"},
    Kind.DEFAULT_RETRY: frozenset({"attempt", "trigger", "execution", "flow", "host"}),
    Kind.WHEN: _BASE[Kind.CONDITION],
    Kind.FOREACH: _BASE[Kind.CONDITION],
    Kind.ITEM: _BASE[Kind.CONDITION],
    Kind.MOMENT: _BASE[Kind.CONDITION],
    Kind.PARAM: _BASE[Kind.CONDITION],
    Kind.SECRET_PARAM: _BASE[Kind.CONDITION],
    Kind.NODE_ENV: _BASE[Kind.CONDITION],
    Kind.STDIN: _BASE[Kind.CONDITION],
    Kind.OUTPUT: _BASE[Kind.CONDITION],
    Kind.TRIGGER_INPUT: _BASE[Kind.TRIGGER_CONDITION],
}
_ELSEWHERE = {
    **dict.fromkeys(ITEM_CONTEXTS, "it is known where a node with foreach speaks of each item"),
    "attempt": "it is known in the 'if' of a retry: retry: {if: attempt.exit_code == 75}",
}
"""What is said about contexts that are known at no place or at few."""
_ONCE = "it is evaluated once, before the first item"
_MEMBERS = {
    "trigger": frozenset({"id", "type", "headers", "query", "body", "flow", "path"}),
    "execution": frozenset(
        {
            "id",
            "revision",
            "retry_of",
            "slot_at",
            "slot_date",
            "created_at",
            "work_dir",
            "flow_dir",
        }
    ),
    "host": frozenset({"name", "labels", "facts"}),
    "attempt": frozenset({"number", "exit_code", "error", "outputs", "reason"}),
    "flow": frozenset({"name", "account", "labels"}),
}
_BEFORE_IT_IS = frozenset({"slot_at", "slot_date", "created_at"})
"""Members of `execution` that a trigger sees, which decides whether there will be one."""
_PLAIN = frozenset({"inputs", "vars", "env", "host", "flow"})
"""Contexts of which nothing but their names can be wrong."""
_NODE_MEMBERS = frozenset({"state", "exit_code", "outputs", "error", "duration_s"})
_NOT_A_NAME = re.compile(r"[^A-Z0-9]+")
_LONGEST_QUOTE = 60
_LOOKED_AT = TYPED | {Kind.INTERPRETED, Kind.LITERAL}
"""Places of which the names in them do not tell whether they are good."""


def check_expressions(subject: Subject, *, names: bool = True) -> Iterator[Finding]:
    """Yields findings about every expression, and about those that must not be there.

    Without `names`, those of a particular flow, which defaults of a folder do not know, are left;
    what no flow has, such as `flow.nme`, is found all the same.
    """
    checker = _Checker(subject, names=names)
    for place in places(subject):
        if not checker.is_good(place):
            yield from checker.complaints(place)


class _Checker:
    """Judges places one by one; knows the names of the flow."""

    def __init__(self, subject: Subject, *, names: bool) -> None:
        self._subject = subject
        self._knows_names = names
        self._order = FlowOrder(subject)
        self._kinds = FlowKinds(subject)
        self._names = _names_of(subject)
        self._good: set[tuple[frozenset[str], str, tuple[str | int, ...]]] = set()

    def is_good(self, place: Place) -> bool:
        """Whether nothing is wrong with a place, as nearly always; False: that is to be seen."""
        kind, kinds = place.kind, self._kinds
        if kind in _LOOKED_AT or kinds.has_items(place.node):
            return False
        try:
            _, expressions = self._subject.texts.parsed(place.text, is_bare=kind in BARE)
        except ExpressionSyntaxError:
            return False
        contexts, good = _CONTEXTS[kind], self._good
        for uses in expressions:
            if uses.names_secret or (uses.status_calls and kind is not Kind.CONDITION):
                return False
            for reference in uses.references:
                root, path, _ = reference
                if (contexts, root, path) not in good and not self._is_good_use(place, reference):
                    return False
                if root == "nodes" and not self._is_before(str(path[0]), place):
                    return False
            if not uses.is_name and uses.inferred(tuple(map(kinds, uses.references)))[1]:
                return False
        return True

    def _is_good_use(self, place: Place, reference: Reference) -> bool:
        """Whether nothing is wrong with a use; likewise with all that are like it."""
        root, path, _ = reference
        contexts = _CONTEXTS[place.kind]
        is_plain = root in contexts and root in _PLAIN and path and path[0] in self._names[root]
        is_good = is_plain or not any(True for _ in self._reference(place, reference))
        if is_good:
            self._good.add((contexts, root, path))
        return is_good

    def complaints(self, place: Place) -> Iterator[Finding]:
        """Yields what is wrong with a place."""
        if place.kind in (Kind.INTERPRETED, Kind.LITERAL):
            found = find_expression(place.text)
            if found is not None:
                yield self._forbidden(place, *found)
            return
        try:
            template, expressions = self._subject.texts.parsed(
                place.text, is_bare=place.kind in BARE
            )
        except ExpressionSyntaxError as error:
            yield self._finding(
                codes.EXPRESSION_SYNTAX, error.message, place, error.offset, error.hint
            )
            return
        for uses in expressions:
            if uses.status_calls or uses.names_secret:
                yield from self._special(place, uses)
            for reference in uses.references:
                yield from self._reference(place, reference)
        for misfit in misfits(self._kinds, place, template, expressions):
            yield self._misfit(place, misfit)

    def _misfit(self, place: Place, misfit: Misfit) -> Finding:
        return self._subject.document.finding(
            codes.TYPES_MISFIT,
            misfit.message,
            path=place.path,
            offset=misfit.offset,
            hint=misfit.hint,
            severity=Severity.ERROR if misfit.is_error else Severity.WARNING,
        )

    def _forbidden(self, place: Place, offset: int, expression: str) -> Finding:
        if place.kind is Kind.LITERAL:
            message = "an expression is not evaluated here"
            return self._finding(codes.EXPRESSION_NOT_ALLOWED, message, place, offset, "")
        shown = expression if 0 < len(expression) <= _LONGEST_QUOTE else "…"
        name = _NOT_A_NAME.sub("_", shown.upper()).strip("_") or "VALUE"
        is_script = place.path[-1] in ("run", "script")
        use = f'use "${name}" in the text' if is_script else f"let the code read {name}"
        hint = f'write env: {{{name}: "${{{{ {shown} }}}}"}} on the node and {use}'
        message = "an expression in text that an interpreter parses would run as code"
        return self._finding(codes.EXPRESSION_IN_SCRIPT, message, place, offset, hint)

    def _special(self, place: Place, uses: Uses) -> Iterator[Finding]:
        """Yields findings about functions that belong elsewhere, and about secrets that decide."""
        for name, offset in () if place.kind is Kind.CONDITION else uses.status_calls:
            message = f"{name}() speaks about a node's needs: it belongs to the 'if' of a node"
            yield self._finding(codes.EXPRESSION_NOT_ALLOWED, message, place, offset, "")
        for complaint in complaints_about(uses.expression, place.kind) if uses.names_secret else ():
            yield from self._secret(place, complaint)

    def _reference(self, place: Place, reference: Reference) -> Iterator[Finding]:
        root, offset = reference.root, reference.offset
        known = _CONTEXTS[place.kind]
        if self._kinds.speaks_of_items(place):
            known |= frozenset(ITEM_CONTEXTS)
        if root not in known:
            hint = _ELSEWHERE.get(root) or meant_or_known(root, known)
            if root in ITEM_CONTEXTS and self._kinds.has_items(place.node):
                hint = _ONCE
            message = f"{root!r} is not known in {place.kind.value}"
            yield self._finding(codes.UNKNOWN_NAME, message, place, offset, hint)
        elif not self._knows_names and root not in _MEMBERS:
            return
        elif root == SECRETS:
            yield from self._secret(place, complaint_about(reference, place.kind, self._secrets))
        elif root == "nodes":
            yield from self._node(place, reference)
        elif reference.path and root not in ITEM_CONTEXTS:
            yield from self._member(place, reference)

    def _member(self, place: Place, reference: Reference) -> Iterator[Finding]:
        root, name = reference.root, str(reference.path[0])
        names = self._names[root]
        is_early = place.kind in (Kind.TRIGGER_CONDITION, Kind.TRIGGER_INPUT)
        if root == "execution" and is_early and name in names:
            names = _BEFORE_IT_IS
        if (root, name) == ("trigger", "headers") and len(reference.path) > 1:
            yield from self._header(place, reference)
        if name in names or self._subject.is_doubtful(root, name):
            return
        message, hint = f"there is no {root}.{name}", meant_or_known(name, names)
        if names is _BEFORE_IT_IS:
            message, hint = f"{message} before the execution is there", known_here(names)
        if root == "env" and name in self._subject.data.get("env", {}):
            message = f"env.{name} has no literal value, so expressions cannot read it"
            hint = "use the expression that it stands for"
        yield self._finding(codes.UNKNOWN_NAME, message, place, reference.offset, hint)

    def _header(self, place: Place, reference: Reference) -> Iterator[Finding]:
        """Yields the finding about a header that is never there."""
        name = str(reference.path[1])
        message, hint = "", ""
        if name != name.lower():
            message = "names of headers are lower-case here"
            hint = f"write {name.lower()!r}"
        elif name in HIDDEN_HEADERS:
            message = f"the header {name!r} is a proof, which trigger.headers never shows"
        if message:
            yield self._finding(codes.UNKNOWN_NAME, message, place, reference.offset, hint)

    def _secret(self, place: Place, complaint: Complaint | None) -> Iterator[Finding]:
        if complaint is not None:
            code, message, offset, hint = complaint
            yield self._finding(code, message, place, offset, hint)

    def _node(self, place: Place, reference: Reference) -> Iterator[Finding]:
        offset = reference.offset
        if not reference.path:
            message = "'nodes' needs the id of a node: nodes.fetch.outputs"
            yield self._finding(codes.UNKNOWN_NAME, message, place, offset, "")
            return
        name = str(reference.path[0])
        at = self._order.paths.get(name)
        if at is None:
            message = f"there is no node {name!r}"
            hint = meant_or_known(name, self._order.paths)
            yield self._finding(codes.UNKNOWN_NAME, message, place, offset, hint)
        elif place.node is not None and not self._is_before(name, place):
            own = self._order.raws[place.node]["id"]
            message = f"the node {name!r} does not come before {own!r}"
            hint = f"add {name} to 'needs' of {own}" if name != own else "a node cannot see itself"
            if at[0] != place.node[0]:
                hint = "the nodes of 'finally' start when all of 'nodes' have ended"
            yield self._finding(codes.NOT_UPSTREAM, message, place, offset, hint)
        else:
            yield from self._node_member(place, reference, name)

    def _is_before(self, name: str, place: Place) -> bool:
        """Whether a node is final when a place is evaluated."""
        at = self._order.paths[name]
        return place.node is None or self._order.comes_before(at, place.node)

    def _node_member(self, place: Place, reference: Reference, name: str) -> Iterator[Finding]:
        path = reference.path[1:]
        if path[:1] == ("outputs",) and self._kinds.has_items(self._order.paths[name]):
            if len(path) > 1 and not isinstance(path[1], int):
                yield self._not_of_an_item(place, reference, name)
                return
            path = (path[0], *path[2:])
        members = [str(part) for part in path[:2]]
        if members and members[0] not in _NODE_MEMBERS:
            message = f"there is no nodes.{name}.{members[0]}"
            hint = meant_or_known(members[0], _NODE_MEMBERS)
            yield self._finding(codes.UNKNOWN_NAME, message, place, reference.offset, hint)
        elif members[:1] == ["outputs"] and len(members) > 1:
            known = self._outputs(name)
            is_doubtful = self._subject.is_doubtful(*self._order.paths[name])
            if known is not None and members[1] not in known and not is_doubtful:
                message = f"the node {name!r} has no output {members[1]!r}"
                hint = did_you_mean(members[1], known) or self._how_to_declare(name, members[1])
                yield self._finding(codes.UNDECLARED_OUTPUT, message, place, reference.offset, hint)

    def _not_of_an_item(self, place: Place, reference: Reference, name: str) -> Finding:
        message = f"the outputs of {name!r} are a list: those of each item"
        hint = f"write nodes.{name}.outputs[0].{reference.path[2]} for those of the first"
        return self._finding(codes.UNDECLARED_OUTPUT, message, place, reference.offset, hint)

    def _how_to_declare(self, node: str, output: str) -> str:
        raw = self._order.raws[self._order.paths[node]]
        facts = facts_of(raw, self._subject.catalog)
        if facts is not None and facts.is_shell_like:
            return f"declare it: outputs: {{{output}: {{type: string}}}} on the node {node}"
        return known_here(self._outputs(node) or ()) or f"a {node_type(raw)} node has none"

    def _outputs(self, name: str) -> frozenset[str] | None:
        """Returns the outputs that a node can have; None when its file does not tell."""
        node = self._order.raws[self._order.paths[name]]
        facts = facts_of(node, self._subject.catalog)
        if node_type(node) == "flow":
            is_waited = node.get("params", {}).get("wait", True)
            return None if is_waited else frozenset({"execution_id"})
        if facts is not None and facts.output_names is not None:
            return facts.output_names
        if facts is not None and not facts.is_shell_like:
            return frozenset(node.get("params", {}).get("values", {}))
        return frozenset(node.get("outputs", {}))

    @cached_property
    def _secrets(self) -> list[str] | None:
        doubtful = self._subject.is_doubtful("secrets")
        return None if doubtful else self._subject.data.get("secrets", [])

    def _finding(self, code: Code, message: str, place: Place, offset: int, hint: str) -> Finding:
        return self._subject.document.finding(
            code, message, path=place.path, offset=offset, hint=hint
        )


def _names_of(subject: Subject) -> dict[str, frozenset[str]]:
    """Returns the names in each context, as far as they are known."""
    data = subject.data
    own = {root: frozenset(data.get(root, {})) for root in ("inputs", "vars")}
    own["env"] = frozenset(
        name
        for name, value in data.get("env", {}).items()
        if value is not None and not (isinstance(value, str) and "${{" in value)
    )
    return {**own, **_MEMBERS}
