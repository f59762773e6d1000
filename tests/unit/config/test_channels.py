"""Channels and rules of the settings: what may be written, what is refused, what is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowrunner.config.channel_kinds import TYPES, ChannelSettings, channels_kind
from flowrunner.errors import SettingsError
from flowrunner.model.notify import NotifyOn, NotifyRule, Window
from flowrunner.model.rates import Rate
from tests.unit.config.documents import load

MAIL = {"type": "email", "host": "mail", "from": "a@example.com", "to": ["b@example.com"]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A settings file that exists."""
    path = tmp_path / "flowrunner.yaml"
    path.touch()
    return path


def channel(written: Any) -> ChannelSettings:
    (found,) = channels_kind().parse({"a": written}, Path("/etc"))
    return found  # type: ignore[no-any-return]


def problem(data: dict[str, Any], file: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        load(data, file=file)
    return str(caught.value.message)


def test_keys_left_out_have_their_defaults() -> None:
    """Every key of the type has a value, and what is shown is what was written."""
    found = channel(MAIL)
    assert set(found.values) == set(TYPES["email"])
    assert (found.values["security"], found.values["timeout"]) == ("starttls", 30.0)
    assert found.values["rate"] == Rate(10, 60.0, "10/1m")
    assert channels_kind().render((found,)) == {"a": MAIL}
    assert channel({**MAIL, "rate": "off", "ca_file": "ca.pem"}).values["ca_file"] == Path(
        "/etc/ca.pem"
    )


@pytest.mark.parametrize(
    ("written", "message"),
    [
        pytest.param({"type": "sms"}, "a: type 'sms' is not known", id="type"),
        pytest.param({"type": ["slack"]}, "a: type ['slack'] is not known", id="type-list"),
        pytest.param({"type": "slack"}, "a: url_secret is missing", id="missing"),
        pytest.param(
            {"type": "ping", "url": "https://x", "rate": "1/1s"},
            "a: unknown key 'rate'",
            id="key-of-another-type",
        ),
        pytest.param(
            {"type": "ping"}, "a: needs url or url_secret, one of the two", id="no-address"
        ),
        pytest.param(
            {"type": "ping", "url": "https://x", "url_secret": "X"},
            "a: needs url or url_secret, one of the two",
            id="two-addresses",
        ),
        pytest.param(
            {"type": "ping", "url": "ftp://x"}, "a.url: 'ftp://x' is no address of HTTP", id="ftp"
        ),
        pytest.param(
            {"type": "ping", "url": "http://x\r\nA: b"},
            "a.url: 'http://x\\r\\nA: b' is too long, or holds spaces, control characters or "
            "others than ASCII",
            id="lines",
        ),
        pytest.param({"type": "exec", "argv": []}, "a.argv: [] is no such list", id="no-words"),
        pytest.param({**MAIL, "user": "u"}, "a: is half of a login", id="half-login"),
        pytest.param(
            {**MAIL, "user": "u", "password_secret": "P", "security": "none"},
            "a: would send the password in the clear",
            id="clear-password",
        ),
        pytest.param(
            {**MAIL, "to": ["b@example.com\nBcc: c@example.com"]},
            "a.to: 'b@example.com\\nBcc: c@example.com' is no address",
            id="header-in-address",
        ),
        pytest.param(
            {**MAIL, "from": "=?x?q?=0A?=@example.com"},
            "a.from: '=?x?q?=0A?=@example.com' is no address",
            id="encoded-word-in-address",
        ),
        pytest.param({**MAIL, "port": 0}, "a.port: 0 is out of range", id="port"),
    ],
)
def test_wrong_channels_are_refused(written: Any, message: str, file: Path) -> None:
    """What does not fit is a finding that names the channel."""
    found = problem({"notify": {"channels": {"a": written}}}, file)
    assert found == f"notify.channels: {message}"


def test_secret_in_the_place_of_its_name_is_not_quoted(file: Path) -> None:
    """Who pastes an address that is secret does not find it in a log."""
    written = {"a": {"type": "slack", "url_secret": "https://hooks.example.com/T/B/hidden"}}
    assert "hidden" not in problem({"notify": {"channels": written}}, file)
    assert "hidden" not in problem({"notify": {"channels": {"a": "hidden"}}}, file)
    written = {"a": {"type": "ping", "url": "https://me:hidden@hooks.example.com/"}}
    with pytest.raises(SettingsError) as caught:
        load({"notify": {"channels": written}}, file=file)
    (finding,) = caught.value.findings
    assert "hidden" not in str(finding)
    assert "a secret that url_secret names" in finding["hint"]


def test_rules_are_read(file: Path) -> None:
    """Defaults of the host and of an account are rules, and may name channels of either."""
    rule = {"on": ["failed"], "channels": ["a", "b"], "after_consecutive": 2}
    rule["window"] = {"failures": 3, "within": "1h"}
    page = {"type": "exec", "argv": ["page"]}
    data = {
        "notify": {"channels": {"a": page}, "default": [{"on": ["late"], "channels": ["a"]}]},
        "accounts": {"web": {"channels": {"b": page}, "notify": [rule]}},
    }
    settings = load(data, file=file).settings
    assert settings.notify.default == (NotifyRule(on=(NotifyOn.LATE,), channels=("a",)),)
    assert settings.accounts["web"].notify == (
        NotifyRule(
            on=(NotifyOn.FAILED,),
            channels=("a", "b"),
            after_consecutive=2,
            window=Window(failures=3, within_s=3_600),
        ),
    )


def test_channels_say_which_secrets_they_need(file: Path) -> None:
    """Those that are written by name, of every type."""
    channels = {
        "slack": {"type": "slack", "url_secret": "A"},
        "webhook": {"type": "webhook", "url_secret": "B", "secret": "C"},
        "open": {"type": "webhook", "url": "https://x.example", "secret": "C"},
        "alerts": {"type": "alertmanager", "url": "https://x.example", "bearer_secret": "D"},
        "ping": {"type": "ping", "url_secret": "E"},
        "exec": {"type": "exec", "argv": ["A"]},
        "email": {
            "type": "email",
            "host": "h",
            "from": "a@b.example",
            "to": ["c@d.example"],
            "user": "u",
            "password_secret": "F",
        },
    }
    found = load({"notify": {"channels": channels}}, file=file).settings.notify.channels
    assert {it.name: set(it.secret_names) for it in found} == {
        "slack": {"A"},
        "webhook": {"B", "C"},
        "open": {"C"},
        "alerts": {"D"},
        "ping": {"E"},
        "exec": set(),
        "email": {"F"},
    }


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param("failed", id="text"),
        pytest.param({"on": ["failed"]}, id="no-channels"),
        pytest.param({"on": ["started"], "channels": ["a"]}, id="started"),
        pytest.param({"on": [], "channels": ["a"]}, id="nothing"),
        pytest.param({"on": ["late"], "channels": ["A"]}, id="name"),
        pytest.param({"on": ["late"], "channels": [1]}, id="number"),
        pytest.param({"on": ["late"], "channels": ["b"]}, id="unknown-channel"),
        pytest.param({"on": ["failed"], "channels": ["a"], "after": 1}, id="key"),
        pytest.param({"on": ["failed"], "channels": ["a"], "after_consecutive": 0}, id="zero"),
        pytest.param({"on": ["failed"], "channels": ["a"], "after_consecutive": True}, id="truth"),
        pytest.param({"on": ["failed"], "channels": ["a"], "window": {"failures": 2}}, id="half"),
        pytest.param(
            {"on": ["failed"], "channels": ["a"], "window": {"failures": 1, "within": "1h"}},
            id="one-failure",
        ),
        pytest.param(
            {"on": ["failed"], "channels": ["a"], "window": {"failures": 2, "within": "31d"}},
            id="too-long",
        ),
        pytest.param(
            {"on": ["failed"], "channels": ["a"], "window": {"failures": 2, "within": 5}},
            id="no-unit",
        ),
        pytest.param(
            {"on": ["late"], "channels": ["a"], "after_consecutive": 2}, id="row-of-no-failures"
        ),
        pytest.param(
            {"on": ["ready"], "channels": ["a"], "window": {"failures": 2, "within": "1h"}},
            id="window-of-no-failures",
        ),
    ],
)
def test_wrong_rules_are_refused(rule: Any, file: Path) -> None:
    """A rule that could tell nothing, or not what it says, is a finding."""
    channels = {"a": {"type": "exec", "argv": ["page"]}}
    assert problem({"notify": {"channels": channels, "default": [rule]}}, file).startswith(
        "notify.default: "
    )
