"""The links that only the network listener has: where a request is from, CORS, the rate limit."""

from __future__ import annotations

import asyncio
import logging
from ipaddress import ip_network

import pytest
from starlette.types import ASGIApp

from flowrunner.system.buckets import MOST_SOURCES, Buckets
from flowrunner.telemetry.metrics_access import AccessCounts
from flowrunner.web.callers import Access, AccessRules
from flowrunner.web.context import Origin
from flowrunner.web.origins import Proxies
from tests.fakes.asgi import Answer, Call, answer, ask
from tests.fakes.clock import FakeClock
from tests.unit.web.apps import COMMANDER, make_access, public_app

REMOTE = ("203.0.113.9", 4000)
PAGE = "https://status.example.com"
TRUSTED = Proxies([ip_network("127.0.0.1"), ip_network("10.0.0.0/8")])


def origin(proxies: Proxies, peer: tuple[str, int] | None, *said: str) -> Origin:
    """Returns where a request is from, with an `X-Forwarded-For` for each text."""
    headers = [("x-forwarded-for", text) for text in said]
    return proxies.origin_of(Call(method="GET", target="/", headers=headers, peer=peer).scope())


@pytest.mark.parametrize(
    ("peer", "said", "address", "is_local"),
    [
        pytest.param("127.0.0.1", [], "127.0.0.1", True, id="this-machine"),
        pytest.param("::1", [], "::1", True, id="this-machine-ipv6"),
        pytest.param("::ffff:127.0.0.1", [], "127.0.0.1", True, id="mapped"),
        pytest.param("203.0.113.9", [], "203.0.113.9", False, id="another"),
        pytest.param("203.0.113.9", ["127.0.0.1"], "203.0.113.9", False, id="liar"),
        pytest.param("127.0.0.1", ["198.51.100.7"], "127.0.0.1", False, id="unknown-proxy"),
    ],
)
def test_address_of_a_caller_without_trusted_proxies(
    peer: str, said: list[str], address: str, *, is_local: bool
) -> None:
    """Nobody is believed: the peer is the caller, and not local when it passes somebody on."""
    found = origin(Proxies(), (peer, 4000), *said)

    assert (found.address, found.is_local) == (address, is_local)


@pytest.mark.parametrize(
    ("said", "address"),
    [
        pytest.param([], "127.0.0.1", id="nothing-said"),
        pytest.param(["198.51.100.7"], "198.51.100.7", id="one"),
        pytest.param(["198.51.100.7:8443"], "198.51.100.7", id="with-a-port"),
        pytest.param(["[2001:db8::7]:8443"], "2001:db8::7", id="ipv6-with-a-port"),
        pytest.param(["2001:db8::7"], "2001:db8::7", id="ipv6"),
        pytest.param(["192.0.2.66, 198.51.100.7"], "198.51.100.7", id="forged-before-it"),
        pytest.param(["198.51.100.7, 10.1.1.1"], "198.51.100.7", id="two-proxies"),
        pytest.param(["192.0.2.66", "198.51.100.7"], "198.51.100.7", id="two-headers"),
        pytest.param(["198.51.100.7, unknown, 10.1.1.1"], "10.1.1.1", id="no-address"),
        pytest.param(["127.0.0.1"], "127.0.0.1", id="says-this-machine"),
    ],
)
def test_trusted_proxy_tells_who_asks_and_is_never_local(said: list[str], address: str) -> None:
    """The nearest address that no trusted proxy has is the caller, and it is not this machine."""
    found = origin(TRUSTED, ("127.0.0.1", 4000), *said)

    assert (found.address, found.is_local) == (address, False)


def test_ipv6_is_counted_by_its_network() -> None:
    """All addresses of a /64 are one source; IPv4 addresses are one each."""
    sources = [
        origin(Proxies(), (peer, 1)).source
        for peer in ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1", "203.0.113.9")
    ]

    assert sources == ["2001:db8::/64", "2001:db8::/64", "2001:db8:0:1::/64", "203.0.113.9"]


def test_unix_socket_is_local_and_nobody_is_neither() -> None:
    """A unix socket is of this machine; a peer without a name is of nowhere."""
    assert origin(Proxies(), COMMANDER).is_local
    assert not origin(Proxies(), None).is_local


def test_what_passes_on_through_a_unix_socket_is_one_caller() -> None:
    """Without trust its word counts for nothing: not local, no address, and counted together."""
    found = {origin(Proxies(), COMMANDER, said) for said in ("198.51.100.7", "127.0.0.1", "", "x")}

    assert found == {Origin(address="", is_local=False, source="unix")}


@pytest.mark.parametrize(
    ("said", "address", "source"),
    [
        pytest.param(["198.51.100.7"], "198.51.100.7", "198.51.100.7", id="one"),
        pytest.param(["192.0.2.66, 198.51.100.7"], "198.51.100.7", "198.51.100.7", id="forged"),
        pytest.param(["198.51.100.7, 10.1.1.1"], "198.51.100.7", "198.51.100.7", id="two-proxies"),
        pytest.param(["2001:db8::7"], "2001:db8::7", "2001:db8::/64", id="ipv6"),
        pytest.param(["127.0.0.1"], "127.0.0.1", "127.0.0.1", id="says-this-machine"),
        pytest.param(["unknown"], "", "unix", id="no-address"),
        pytest.param([], "", "unix", id="nothing-said"),
    ],
)
def test_trusted_unix_socket_tells_who_asks_and_is_never_local(
    said: list[str], address: str, source: str
) -> None:
    """With `unix` among the trusted proxies it is believed as a trusted address is."""
    proxies = Proxies(["unix", ip_network("10.0.0.0/8")])

    found = origin(proxies, COMMANDER, *said)

    assert found == Origin(address=address, is_local=False, source=source)


def test_trust_in_unix_sockets_is_not_trust_in_addresses() -> None:
    """The word opens nothing for a caller by TCP, also where no network is trusted."""
    found = origin(Proxies(["unix"]), ("127.0.0.1", 4000), "198.51.100.7")

    assert (found.address, found.is_local) == ("127.0.0.1", False)


def test_log_shows_caller_and_process_behind_a_unix_socket(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The line has the address that the trusted proxy saw, and user and process of the proxy."""
    caplog.set_level(logging.DEBUG)
    app = public_app(access=make_access(AccessRules(proxies=Proxies(["unix"]))))

    ask(app, "GET", "/livez", headers={"x-forwarded-for": "198.51.100.7"}, peer=COMMANDER)

    assert f"peer=198.51.100.7 via={COMMANDER[0]}/pid:{COMMANDER[1]} " in caplog.text


def test_log_shows_caller_and_proxy(caplog: pytest.LogCaptureFixture) -> None:
    """Behind a trusted proxy the line has the caller's address and the proxy's."""
    caplog.set_level(logging.DEBUG)
    app = public_app(access=make_access(AccessRules(proxies=TRUSTED)))

    ask(app, "GET", "/livez", headers={"x-forwarded-for": "198.51.100.7"})

    assert "peer=198.51.100.7 via=127.0.0.1:51514 request_id" in caplog.text


def ask_as_page(app: ASGIApp, method: str, target: str, origin: str = PAGE, **more: str) -> Answer:
    headers = {"origin": origin, **{name.replace("_", "-"): it for name, it in more.items()}}
    return ask(app, method, target, headers=headers)


def cors_app(*origins: str) -> ASGIApp:
    return public_app(access=make_access(AccessRules(cors=frozenset(origins))))


@pytest.mark.parametrize("target", ["/api/v1/flows", "/nothing", "/api/v1/flows?x=1"])
def test_page_that_is_named_may_read_answers_and_problems(target: str) -> None:
    """A page of a configured origin can read what it is answered, problems too."""
    got = ask_as_page(cors_app(PAGE), "GET", target)

    assert got.headers["access-control-allow-origin"] == PAGE
    assert got.headers["vary"] == "origin"
    assert "access-control-allow-credentials" not in got.headers


def test_browser_is_told_what_a_page_may_send() -> None:
    """The question before the request is answered without asking for a token."""
    got = ask_as_page(
        cors_app(PAGE), "OPTIONS", "/api/v1/flows", access_control_request_method="GET"
    )

    assert (got.status, got.body) == (204, b"")
    assert "authorization" in got.headers["access-control-allow-headers"]
    assert got.headers["access-control-allow-methods"] == "GET, HEAD"


@pytest.mark.parametrize("allowed", [(), (PAGE,)], ids=["off", "other-page"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_other_pages_read_nothing(allowed: tuple[str, ...], method: str) -> None:
    """A page that is not named, or any while nothing is configured, gets no permission."""
    got = ask_as_page(
        cors_app(*allowed),
        method,
        "/api/v1/flows",
        "https://evil.example",
        access_control_request_method="GET",
    )

    assert not [name for name in got.headers if name.startswith("access-control")]


def test_hooks_are_not_for_pages() -> None:
    """A delivery is answered alike, whatever origin it names."""
    got = ask_as_page(cors_app(PAGE), "POST", "/hooks/default/x")

    assert not [name for name in got.headers if name.startswith("access-control")]


def limited(count: int, clock: FakeClock, counts: AccessCounts | None = None) -> Access:
    return make_access(AccessRules(rate=(count, 10.0)), clock=clock, counts=counts)


def test_source_that_comes_too_often_is_told_when_to_come_back() -> None:
    """Beyond the rate a source gets 429 with `Retry-After`, and is served again after that."""
    clock, counts = FakeClock(), AccessCounts()
    app = public_app(access=limited(2, clock, counts), clock=clock)

    statuses = [ask(app, "GET", "/livez", peer=REMOTE).status for _ in range(3)]
    got = ask(app, "POST", "/hooks/default/x", peer=REMOTE)

    assert statuses == [200, 200, 429]
    assert (got.status, got.json["code"], got.headers["retry-after"]) == (429, "http.rate", "5")
    clock.advance(5.0)
    assert ask(app, "GET", "/livez", peer=REMOTE).status == 200
    family, _ = counts.families()
    assert (("rate",), 2.0) in list(family.samples)


def test_flood_does_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """What is refused for its rate is counted, and logged at DEBUG alone."""
    caplog.set_level(logging.INFO)
    app = public_app(access=limited(1, FakeClock()))

    for _ in range(3):
        ask(app, "POST", "/hooks/default/x", peer=REMOTE)

    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_sources_have_a_rate_each_and_this_machine_has_none() -> None:
    """One source's haste is no other's, and callers on this machine are not counted."""
    clock = FakeClock()
    app = public_app(access=limited(1, clock), clock=clock)

    for _ in range(3):
        assert ask(app, "GET", "/livez").status == 200
    for number in range(3):
        assert ask(app, "GET", "/livez", peer=(f"203.0.113.{number}", 1)).status == 200


def test_body_of_one_who_comes_too_often_is_not_read() -> None:
    """The limit comes before anything that costs: the 413 of a huge body is not reached."""
    app = public_app(access=limited(1, FakeClock()))
    headers = (("content-length", "999999999"),)
    call = Call(method="POST", target="/hooks/default/x", headers=headers, peer=REMOTE)

    statuses = [asyncio.run(answer(app, call)).status for _ in range(2)]

    assert statuses == [413, 429]


@pytest.mark.parametrize(
    ("host", "source"),
    [
        ("127.0.0.1", None),
        ("::1", None),
        ("10.0.0.1", None),
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("", None),
    ],
)
def test_connections_are_counted_by_source(host: str, source: str | None) -> None:
    """As requests are; this machine and proxies that are believed are not counted."""
    rules = AccessRules(proxies=Proxies([ip_network("10.0.0.0/8")]))
    assert make_access(rules).source_of(host) == source


def test_page_may_read_that_it_came_too_often() -> None:
    """CORS stands before the rate limit: a browser would hide the 429, and when to come again."""
    rules = AccessRules(rate=(1, 10.0), cors=frozenset({PAGE}))
    app = public_app(access=make_access(rules))

    answers = [
        ask(app, "GET", "/api/v1/flows", peer=REMOTE, headers={"origin": PAGE}) for _ in range(2)
    ]

    assert [got.status for got in answers] == [401, 429]
    assert answers[1].headers["access-control-allow-origin"] == PAGE
    assert "retry-after" in answers[1].headers["access-control-expose-headers"]


def test_new_rate_counts_from_its_reload_on() -> None:
    """Other rules are in force for the next request; a rate that stays keeps what it counted."""
    clock = FakeClock()
    access = limited(1, clock)
    app = public_app(access=access, clock=clock)

    def status() -> int:
        return ask(app, "GET", "/livez", peer=REMOTE).status

    assert [status(), status()] == [200, 429]
    access.replace(AccessRules(rate=(1, 10.0), local="open"))
    assert status() == 429
    access.replace(AccessRules(rate=(2, 10.0)))
    assert [status(), status(), status()] == [200, 200, 429]
    access.replace(AccessRules())
    assert status() == 200


def test_memory_of_sources_is_bounded() -> None:
    """However many sources come, the least recent are forgotten."""
    buckets = Buckets(1, 1.0, FakeClock())
    for number in range(MOST_SOURCES + 10):
        buckets.take(str(number))

    assert len(buckets) == MOST_SOURCES
    assert buckets.take("0") == 0
    assert buckets.take(str(MOST_SOURCES + 9)) > 0
