"""The section `notify`: the channels of the host, and who is told where a flow says nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import NamedTuple

from flowrunner.config.channel_kinds import ChannelSettings, channels_kind
from flowrunner.config.kinds import BadValueError, Kind, quote
from flowrunner.config.kinds import about as _about
from flowrunner.config.token_kinds import json_of_text
from flowrunner.dataclass import dataclass
from flowrunner.model.ids import Json
from flowrunner.model.notify import (
    CHANNEL_NAME,
    LONGEST_WINDOW_S,
    MOST_IN_A_ROW,
    MOST_IN_WINDOW,
    RULE_WORDS,
    NotifyRules,
    build_rules,
    thresholds_without_effect,
    written_rules,
)
from flowrunner.model.quantities import DURATION_PATTERN, QuantityError, parse_duration

_HINT = "write a list, for example [{on: [failed, recovered], channels: [oncall]}]"
_KEYS = ("on", "channels", "after_consecutive", "window")
_WINDOW_HINT = "write for example {failures: 3, within: 1h}, at most 30d"


def rules_kind() -> Kind:
    """A list of rules, as `notify` of a flow has it."""
    words = {"type": "string", "enum": list(RULE_WORDS)}
    names = {"type": "string", "pattern": CHANNEL_NAME}
    window = {
        "failures": {"type": "integer", "minimum": 2, "maximum": MOST_IN_WINDOW},
        "within": {"type": "string", "pattern": DURATION_PATTERN},
    }
    shapes = {
        "on": {"type": "array", "minItems": 1, "items": words},
        "channels": {"type": "array", "minItems": 1, "items": names},
        "after_consecutive": {"type": "integer", "minimum": 1, "maximum": MOST_IN_A_ROW},
        "window": {
            "type": "object",
            "additionalProperties": False,
            "required": list(window),
            "properties": window,
        },
    }
    return Kind(
        parse=_parse,
        render=written_rules,
        from_text=lambda text: json_of_text(text or "[]"),
        schema={
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["on", "channels"],
                "properties": shapes,
            },
        },
    )


def account_rules_kind() -> Kind:
    """Such a list, or null for the rules of the host."""
    kind = rules_kind()
    return replace(
        kind,
        render=lambda rules: None if rules is None else written_rules(rules),
        schema={**kind.schema, "type": ["array", "null"]},
        nullable=True,
    )


def _parse(value: Json, _: Path) -> NotifyRules:
    if not isinstance(value, list):
        raise BadValueError(
            f"{quote(value)} is not a list of rules", code="settings.type", hint=_HINT
        )
    for rule in value:
        if not isinstance(rule, dict) or not {"on", "channels"} <= rule.keys() <= set(_KEYS):
            raise BadValueError(f"{quote(rule)} is no rule", code="settings.type", hint=_HINT)
        _check_words(rule, "on", lambda word: word in RULE_WORDS, ", ".join(RULE_WORDS))
        _check_words(
            rule,
            "channels",
            lambda name: re.fullmatch(CHANNEL_NAME, name) is not None,
            "names of channels",
        )
        _check_number(rule, "after_consecutive", 1, MOST_IN_A_ROW)
        if "window" in rule:
            _check_window(rule["window"])
        for key in thresholds_without_effect(rule):
            text = f"{key} has no effect without failed or recovered in on"
            raise BadValueError(text, hint=_HINT)
    return build_rules(value)


def _check_words(
    rule: Mapping[str, Json], key: str, is_known: Callable[[str], bool], known: str
) -> None:
    words = rule[key]
    is_list = isinstance(words, list) and words and all(isinstance(it, str) for it in words)
    if not is_list or not all(map(is_known, words)):
        raise BadValueError(f"{key} must be a list of: {known}", hint=_HINT)


def _check_number(holder: Mapping[str, Json], key: str, least: int, most: int) -> None:
    number = holder.get(key, least)
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= most:
        hint = f"from {least} to {most}"
        raise BadValueError(f"{quote(number)} is no number for {key}", hint=hint)


def _check_window(window: Json) -> None:
    if not isinstance(window, dict) or window.keys() != {"failures", "within"}:
        raise BadValueError(f"{quote(window)} is no window", hint=_WINDOW_HINT)
    _check_number(window, "failures", 2, MOST_IN_WINDOW)
    try:
        within_s = parse_duration(window["within"])
    except QuantityError as error:
        raise BadValueError(error.message, hint=error.hint) from error
    if not 0 < within_s <= LONGEST_WINDOW_S:
        raise BadValueError(f"{quote(window['within'])} is out of range", hint=_WINDOW_HINT)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifySettings:
    """Over which channels people are told, and of what where a flow says nothing."""

    channels: tuple[ChannelSettings, ...] = field(
        default=(),
        metadata=_about(
            channels_kind(), example={"oncall": {"type": "slack", "url_secret": "ONCALL_URL"}}
        ),
    )
    """Channels by name (in a variable as JSON), each with its `type` and what that needs: `slack`,
    `webhook`, `email`, `exec`, `ping`, `alertmanager`, see `docs/notifications.md`. Secrets are
    written by their names and come from those of the account `default`. Default `{}`: nobody is
    told anything."""

    default: NotifyRules = field(
        default=(),
        metadata=_about(
            rules_kind(), example=[{"on": ["failed", "recovered"], "channels": ["oncall"]}]
        ),
    )
    """Who is told what of flows for which neither their file nor a `_defaults.yaml` nor their
    account says `notify`: a list of rules (in a variable as JSON), as in a flow. Default `[]`:
    nobody."""


class WrongRule(NamedTuple):
    """A finding: the setting to blame, what is wrong, and what would fit."""

    key: str
    message: str
    hint: str


def notify_problems(
    host: NotifySettings, of_accounts: Mapping[str, tuple[tuple[ChannelSettings, ...], NotifyRules]]
) -> Iterator[WrongRule]:
    """Yields rules of the settings that name a channel which nothing in them describes.

    Args:
        host: The section `notify`.
        of_accounts: The channels and rules of each account.
    """
    known = {channel.name for channel in host.channels}
    yield from _unknown("notify.default", host.default, known)
    for name, (channels, rules) in of_accounts.items():
        own = {channel.name for channel in channels}
        yield from _unknown(f"accounts.{name}.notify", rules, known | own)


def _unknown(key: str, rules: NotifyRules, known: set[str]) -> Iterator[WrongRule]:
    named = dict.fromkeys(name for rule in rules for name in rule.channels)
    for name in named:
        if name not in known:
            hint = f"channels: {', '.join(sorted(known))}" if known else "notify.channels has none"
            yield WrongRule(key, f"there is no channel {quote(name)}", hint)
