"""What to do about a value that does not fit: the traps that YAML and other tools have laid.

Hints only; what is wrong is said by `flowrunner.definitions.schema_faults` and the checks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from flowrunner.definitions.document import Path
from flowrunner.definitions.hints import did_you_mean, known_here
from flowrunner.model.hook_auth import AuthType
from flowrunner.model.ids import Json

_LONGEST = 80
_OTHER_BOOLEANS = frozenset({"yes", "no", "on", "off", "y", "n"})
_BOOLEANS = frozenset({"true", "false"})
_NUMBER = re.compile(r"-?[0-9]{1,15}")
_DIGITS = re.compile(r"[0-9]{1,15}")
_OCTAL = re.compile(r"0[0-7]{1,14}")
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::[0-9]{2})?")
_WITH_SECRET = frozenset(AuthType) - {AuthType.HMAC, AuthType.NONE}
"""Types of `auth` that need no more than a secret."""
_KEY_WITHOUT_SPACE = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*:[^\s/]")
_SLANTED = "\u2018\u2019\u201c\u201d"

_FIRST_KEYS: Mapping[Path, str] = {("nodes",): "id: NAME", ("triggers",): "type: schedule"}

_ELSEWHERE: Mapping[str, Mapping[str, str]] = {
    "flow": {
        **dict.fromkeys(("on", "schedule", "cron", "schedules"), "triggers"),
        **dict.fromkeys(("jobs", "steps", "tasks", "stages"), "nodes"),
        **dict.fromkeys(("environment", "variables"), "env"),
        **dict.fromkeys(("parameters", "params", "args"), "inputs"),
    },
    "node": {
        **dict.fromkeys(("command", "cmd", "commands", "script"), "run"),
        **dict.fromkeys(("depends", "depends_on", "dependsOn", "depends-on"), "needs"),
        **dict.fromkeys(("environment", "variables"), "env"),
        **dict.fromkeys(("with", "args"), "params"),
        **dict.fromkeys(("retries", "retryPolicy"), "retry"),
        **dict.fromkeys(("timeout-minutes", "timeout_minutes", "timeoutSec"), "timeout"),
        **dict.fromkeys(("when", "only"), "if"),
        **dict.fromkeys(("matrix", "loop", "with_items", "withItems", "for_each"), "foreach"),
        "name": "id",
        "uses": "type",
    },
}
"""Kind of mapping → keys of other tools (GitHub, GitLab, Ansible, Dagu, Argo) → the key here."""

_TYPES_ELSEWHERE: Mapping[str, Mapping[str, str]] = {
    "triggers": {
        **dict.fromkeys(("cron", "crontab", "timer", "interval", "every"), "schedule"),
        **dict.fromkeys(("hook", "http", "github", "push"), "webhook"),
    },
    "nodes": {
        **dict.fromkeys(("bash", "sh", "script", "run"), "shell"),
        **dict.fromkeys(("command", "cmd"), "exec"),
        **dict.fromkeys(("echo", "print", "debug"), "log"),
        **dict.fromkeys(("sleep", "delay"), "wait"),
    },
    "auth": {
        **dict.fromkeys(("forgejo", "gogs"), "gitea"),
        **dict.fromkeys(("standardwebhooks", "standard-webhooks", "svix"), "standard"),
        **dict.fromkeys(("token", "api-key", "apikey"), "bearer"),
        **dict.fromkeys(("signature", "sha256", "hmac-sha256"), "hmac"),
    },
}
"""List of the file, or `auth` → words of crontabs and other tools for a `type` → the word here."""


def type_word_hint(path: Path, word: str) -> str:
    """Returns which `type` of a trigger, a node or a proof was probably meant; else nothing."""
    match path:
        case (("triggers" | "nodes") as where, _, "type") | (
            "triggers",
            _,
            "auth" as where,
            "type",
        ):
            here = _TYPES_ELSEWHERE[where].get(word.lower())
            return f"that is 'type: {here}' here" if here else ""
    return ""


def unknown_key_hint(kind: str, key: str, known: Mapping[str, Json]) -> str:
    """Returns which key was probably meant, else the known ones when they are few."""
    here = _ELSEWHERE.get(kind, {}).get(key)
    if here in known:
        return f"that is {here!r} here"
    return did_you_mean(key, known) or known_here(known)


def type_hint(value: Json, wanted: list[str], path: Path) -> str:
    """Returns how to write a value as one of the wanted types; empty when nothing is obvious."""
    match wanted:
        case ["string"]:
            return _as_text(value, path)
        case ["array"]:
            return _as_list(value, path)
        case ["boolean"]:
            return boolean_hint(value)
        case ["integer"] | ["number"]:
            return _as_number(value)
        case ["object"]:
            return _as_mapping(value, path)
    return ""


def boolean_hint(value: Json) -> str:
    """Returns how to write a boolean that was written as a text."""
    if not isinstance(value, str):
        return ""
    if value.lower() in _OTHER_BOOLEANS:
        return "write true or false; YAML 1.2 takes yes, no, on and off for text"
    return f"write {value.lower()} without quotes" if value.lower() in _BOOLEANS else ""


def straight_quotes_hint(text: str) -> str:
    """Returns the hint for a text in typographic quotation marks, which YAML takes for letters."""
    if text[:1] not in _SLANTED or not text:
        return ""
    return f'write straight quotation marks: "{text.strip(_SLANTED)[:_LONGEST]}"'


def duration_hint(text: str) -> str:
    """Returns the hint for a text that is no duration, when it is clear what was meant."""
    clock = _CLOCK.fullmatch(text)
    if clock is not None:
        first, second = int(clock[1]), int(clock[2])
        return f"a time of day has no place here; write {first}h{second}m, or {first}m{second}s"
    if _DIGITS.fullmatch(text):
        return f"a bare number has no unit; write {text}s if that is what you mean"
    return ""


def _as_text(value: Json, path: Path) -> str:
    if isinstance(value, list) and path[-1:] in (("run",), ("script",)):
        return f'write one text: "{path[-1]}: |", and below it a command a line'
    return "" if isinstance(value, list | dict | None) else "put it in quotes"


def _as_list(value: Json, path: Path) -> str:
    if isinstance(value, dict):
        first = _FIRST_KEYS.get(path)
        return f'write a list: each begins with "- {first}"' if first else ""
    return "" if isinstance(value, list | None) else f"write it as a list: [{value}]"[:_LONGEST]


def _as_mapping(value: Json, path: Path) -> str:
    if isinstance(value, str) and _KEY_WITHOUT_SPACE.match(value):
        return 'write a space after the ":"'
    match path[-1:], value:
        case _, bool():  # which Python takes for a number
            return ""
        case ("retry",), int() if value > 0:
            return f"write retry: {{max_attempts: {value}}}, the first try included"
        case ("concurrency",), int() if value > 0:
            return f"write concurrency: {{limit: {value}}}"
        case ("auth",), str() if value in _WITH_SECRET:
            return f"write auth: {{type: {value}, secret: NAME}}"
    return ""


def _as_number(value: Json) -> str:
    if not isinstance(value, str):
        return ""
    if _OCTAL.fullmatch(value):
        return f"a number has no leading zeros: write {int(value)}, or {int(value, 8)} for octal"
    return f"write it without quotes: {value}" if _NUMBER.fullmatch(value) else ""
