"""Tokens and what belongs to the network: what is written, what it means, what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from flowrunner.config.token_kinds import all_tokens
from flowrunner.errors import SettingsError
from flowrunner.model.access import Token, TokenScope, find_token, new_token, token_digest
from tests.unit.config.documents import load

ONE, TWO = token_digest("one"), token_digest("two")
READ = {"sha256": ONE, "scopes": ["read"]}


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    path = tmp_path / "settings.yaml"
    path.touch()
    return path


def problem(file: Path, settings: Any) -> tuple[str, str, str]:
    """Returns code, message and origin of the only thing that is wrong."""
    with pytest.raises(SettingsError) as caught:
        load(settings, file=file)
    (finding,) = caught.value.findings
    return finding["code"], finding["message"], finding["origin"]


def test_tokens_are_read_with_all_they_say(file: Path) -> None:
    """Name, digest, scopes, accounts and end of a token are those that were written."""
    entry = {**READ, "accounts": ["web"], "expires_at": "2027-03-01T13:00:00+01:00"}
    settings = load({"auth": {"tokens": {"ci": entry}}, "accounts": {"web": None}}, file=file)

    assert settings.settings.auth.tokens == (
        Token(
            name="ci",
            sha256=ONE,
            scopes=frozenset({TokenScope.READ}),
            accounts=frozenset({"web"}),
            expires_at=datetime(2027, 3, 1, 12, tzinfo=UTC),
        ),
    )


def test_tokens_of_an_account_are_for_it_alone(file: Path) -> None:
    """A token under an account shows that account, and its name says so."""
    written = {"web": {"tokens": {"ci": READ}}, "ops": None}
    accounts = load({"accounts": written}, file=file).settings.accounts

    (token,) = all_tokens((), {name: each.tokens for name, each in accounts.items()})

    assert (token.name, token.accounts) == ("web/ci", frozenset({"web"}))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        pytest.param({"scopes": ["read"]}, "sha256 must be 64 digits", id="no-digest"),
        pytest.param({**READ, "sha256": "A" * 64}, "sha256 must be 64 digits", id="capitals"),
        pytest.param({"sha256": ONE}, "scopes must name", id="no-scope"),
        pytest.param({**READ, "scopes": []}, "must be a list of names", id="empty-scopes"),
        pytest.param({**READ, "scopes": "read"}, "must be a list of names", id="scopes-as-text"),
        pytest.param({**READ, "scopes": ["all"]}, "'all' is no scope here", id="unknown-scope"),
        pytest.param({**READ, "scope": ["read"]}, "unknown key 'scope'", id="misspelt-key"),
        pytest.param({**READ, "accounts": []}, "must be a list of names", id="no-accounts"),
        pytest.param({**READ, "accounts": ["nix"]}, "no account 'nix'", id="unknown-account"),
        pytest.param({**READ, "expires_at": "tomorrow"}, "is not a time", id="no-time"),
        pytest.param({**READ, "expires_at": "2027-03-01T12:00:00"}, "is not a time", id="no-zone"),
        pytest.param(
            {"sha256": ONE, "scopes": ["metrics"], "accounts": ["default"]},
            "metrics show all accounts",
            id="metrics-of-an-account",
        ),
        pytest.param(3, "is not what token ci opens", id="no-map"),
    ],
)
def test_token_that_does_not_fit_is_refused(file: Path, entry: Any, message: str) -> None:
    """What a token says must make sense: nothing is taken for `all`."""
    code, text, origin = problem(file, {"auth": {"tokens": {"ci": entry}}})

    assert code in ("settings.value", "settings.type")
    assert text.startswith("auth.tokens: ")
    assert message in text
    assert origin == f"file:{file}:2:20"


@pytest.mark.parametrize("entry", [{**READ, "accounts": ["web"]}, {**READ, "scopes": ["metrics"]}])
def test_token_of_an_account_opens_nothing_else(file: Path, entry: Any) -> None:
    """Under an account a token can neither name accounts nor open the metrics."""
    _, text, _ = problem(file, {"accounts": {"web": {"tokens": {"ci": entry}}}})

    assert text.startswith("accounts.web.tokens: ci: ")


def test_token_in_place_of_its_digest_is_refused_without_being_shown(file: Path) -> None:
    """Who pastes the token itself into the settings is told so, in words without it."""
    token = new_token(bytes(32))

    _, text, _ = problem(file, {"auth": {"tokens": {"ci": {**READ, "sha256": token}}}})

    assert "holds a token, not its digest" in text
    assert token not in text


def test_one_token_in_two_entries_is_refused(file: Path) -> None:
    """The same token twice would make it chance what it opens."""
    settings = {"auth": {"tokens": {"a": READ}}, "accounts": {"web": {"tokens": {"b": READ}}}}

    _, text, origin = problem(file, settings)

    assert text == "accounts.web.tokens: b: this is the same token as a"
    assert origin == f"file:{file}:3:20"


def test_tokens_can_stand_in_a_variable() -> None:
    """A variable holds the map as JSON."""
    text = '{"ci": {"sha256": "' + ONE + '", "scopes": ["read"]}}'

    settings = load(environment={"FLOWRUNNER_AUTH__TOKENS": text}).settings

    assert [token.name for token in settings.auth.tokens] == ["ci"]


@pytest.mark.parametrize("place", ["auth", "accounts"])
def test_token_lets_the_daemon_listen_off_loopback(file: Path, place: str) -> None:
    """With a token anywhere in the settings any address can be listened on."""
    tokens: dict[str, Any] = {"tokens": {"ci": READ}}
    written = {"auth": tokens} if place == "auth" else {"accounts": {"web": tokens}}

    settings = load(written, file=file, flags={"--listen": "0.0.0.0:8080"}).settings

    assert str(settings.server.listen) == "0.0.0.0:8080"


def test_right_token_is_found_and_no_other() -> None:
    """A token is known by its digest."""
    tokens = [
        Token(name=name, sha256=digest, scopes=frozenset({TokenScope.READ}))
        for name, digest in (("one", ONE), ("two", TWO))
    ]

    assert [found and found.name for found in (find_token(tokens, it) for it in ("two", ""))] == [
        "two",
        None,
    ]


def test_network_settings_are_read(file: Path) -> None:
    """Rates, proxies and origins come out as they are meant."""
    written = {
        "rate_limit": "30/2m",
        "trusted_proxies": ["127.0.0.1", "10.0.0.0/8"],
        "cors": ["https://a.example:8443"],
    }
    server = load({"server": written}, file=file).settings.server

    assert server.rate_limit is not None
    assert (server.rate_limit.most, server.rate_limit.period_s) == (30, 120.0)
    assert server.trusted_proxies == (ip_network("127.0.0.1"), ip_network("10.0.0.0/8"))
    assert server.cors == ("https://a.example:8443",)
    assert load({"server": {"rate_limit": "off"}}, file=file).settings.server.rate_limit is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param("rate_limit", 30, id="rate-number"),
        pytest.param("rate_limit", "30", id="rate-without-time"),
        pytest.param("rate_limit", "0/1s", id="rate-of-none"),
        pytest.param("rate_limit", "5/0s", id="rate-in-no-time"),
        pytest.param("trusted_proxies", "127.0.0.1", id="proxy-as-text"),
        pytest.param("trusted_proxies", ["proxy.example"], id="proxy-by-name"),
        pytest.param("trusted_proxies", ["10.0.0.1/8"], id="network-with-a-host"),
        pytest.param("trusted_proxies", [1], id="proxy-number"),
        pytest.param("cors", ["*"], id="any-origin"),
        pytest.param("cors", ["https://a.example/"], id="origin-with-a-path"),
        pytest.param("cors", ["null"], id="origin-of-nobody"),
        pytest.param("cors", "https://a.example", id="origin-as-text"),
    ],
)
def test_network_setting_that_does_not_fit_is_refused(file: Path, key: str, value: Any) -> None:
    """What could be read in two ways, or opens more than was meant, is refused."""
    code, text, _ = problem(file, {"server": {key: value}})

    assert code in ("settings.value", "settings.type")
    assert text.startswith(f"server.{key}: ")


@pytest.mark.parametrize("half", ["certificate", "key"])
def test_certificate_needs_its_key(file: Path, half: str) -> None:
    """One file of the pair without the other is refused."""
    _, text, _ = problem(file, {"server": {"tls": {half: "/file.pem"}}})

    assert text == "server.tls.certificate: is half of a pair"
