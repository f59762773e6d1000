"""Who gets in where: every address against every kind of caller."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from starlette.responses import Response
from starlette.types import ASGIApp

from flowrunner.config.access_settings import LocalAccess
from flowrunner.web.app import (
    control_table,
    hooks_table,
    make_public_app,
    public_table,
    reading_table,
)
from flowrunner.web.callers import AccessRules
from flowrunner.web.middleware.authentication import LocalHosts
from flowrunner.web.routing import Right, Route, RouteTable
from tests.fakes.asgi import Answer, Call, answer, ask
from tests.fakes.service import SECRET_INPUT
from tests.unit.web.apps import (
    COMMANDER,
    EXECUTION,
    FLOW,
    control_app,
    make_access,
    make_parts,
    public_app,
)

FORWARDED = {"x-forwarded-for": "203.0.113.9"}

READ_ADDRESSES = {
    "metrics": "/metrics",
    "flows": "/api/v1/flows",
    "flow": f"/api/v1/flows/{FLOW}",
    "events": f"/api/v1/flows/{FLOW}/events",
    "executions": "/api/v1/executions",
    "deliveries": "/api/v1/deliveries",
    "execution": f"/api/v1/executions/{EXECUTION}",
    "reconcile": "/api/v1/reconcile",
    "status": "/api/v1/status",
}
FULL_ADDRESSES = {
    "definition": f"/api/v1/flows/{FLOW}/definition",
    "logs": f"/api/v1/executions/{EXECUTION}/logs",
    "trace": f"/api/v1/executions/{EXECUTION}/trace",
}
HEALTH_ADDRESSES = {"livez": "/livez", "readyz": "/readyz", "healthz": "/healthz"}
COMMANDS = {
    "status": ("GET", "/control/v1/status"),
    "reconcile": ("POST", "/control/v1/reconcile"),
    "start": ("POST", f"/control/v1/flows/{FLOW}/executions"),
    "cancel": ("POST", f"/control/v1/executions/{EXECUTION}/cancel"),
}
UNKNOWN_ADDRESSES = {
    "root": "/",
    "planned-graph": f"/api/v1/flows/{FLOW}/graph",
    "planned-openapi": "/api/v1/openapi.json",
    "slash-at-the-end": "/api/v1/flows/",
    "right-suffix": "/elsewhere/livez",
    "right-prefix": "/livez/api/v1/flows",
    "double-slash": "//metrics",
    "dots": "/api/../metrics",
    "empty-segment": "/api/v1/flows//definition",
    "hooks-without-slash": "/hooks",
    "other-case": "/Metrics",
}


def address_for(route: Route) -> str:
    """An address that the route of a table matches."""
    path = route.path.replace("{account}/{name}", FLOW).replace("{id}", EXECUTION)
    return path.replace("*", "default/backup/push")


def method_for(route: Route) -> str:
    return min(route.methods, default="POST")


def get(app: ASGIApp, target: str, headers: Mapping[str, str] | None = None) -> Answer:
    return ask(app, "GET", target, headers=headers)


@pytest.mark.parametrize("target", HEALTH_ADDRESSES.values(), ids=HEALTH_ADDRESSES)
@pytest.mark.parametrize(
    "headers",
    [{}, FORWARDED, {"host": "flows.example.com"}],
    ids=["local", "forwarded", "foreign-host"],
)
def test_health_is_for_everyone(target: str, headers: dict[str, str]) -> None:
    """Health needs no right, whoever asks and under whatever name."""
    assert get(public_app(), target, headers).status == 200


@pytest.mark.parametrize("local", ["restricted", "open"])
@pytest.mark.parametrize("target", READ_ADDRESSES.values(), ids=READ_ADDRESSES)
def test_local_caller_reads(target: str, local: LocalAccess) -> None:
    """A caller on this machine reads the state, restricted or not."""
    assert get(public_app(local=local), target).status == 200


@pytest.mark.parametrize("target", FULL_ADDRESSES.values(), ids=FULL_ADDRESSES)
def test_restricted_caller_sees_no_data(target: str) -> None:
    """Logs, definitions and traces answer a restricted caller 401, with no data."""
    got = get(public_app(local="restricted"), target)

    assert got.status == 401
    assert SECRET_INPUT.encode() not in got.body
    assert got.headers["www-authenticate"] == 'Bearer realm="flowrunner"'
    assert got.json["code"] == "auth.missing"


@pytest.mark.parametrize("target", FULL_ADDRESSES.values(), ids=FULL_ADDRESSES)
def test_open_access_shows_data(target: str) -> None:
    """With `auth.local: open` a local caller sees logs, definitions and traces."""
    assert get(public_app(local="open"), target).status == 200


@pytest.mark.parametrize(
    "name",
    ["Forwarded", "X-Forwarded-For", "X-Real-IP", "X-Forwarded-Host", "Via"],
)
@pytest.mark.parametrize("local", ["restricted", "open"])
def test_forwarded_request_counts_as_off_this_machine(name: str, local: LocalAccess) -> None:
    """Any sign of a proxy takes the right of being local away, even with open access."""
    got = get(public_app(local=local), "/api/v1/flows", {name: "203.0.113.9"})

    assert got.status == 401
    assert "www-authenticate" in got.headers


def test_forwarded_delivery_reaches_its_hook() -> None:
    """A hook is served through a proxy and under any name: it authenticates by signature."""
    headers = {**FORWARDED, "host": "hooks.example.com"}

    got = ask(public_app(), "POST", "/hooks/default/backup/push", headers=headers, body=b"{}")

    assert got.headers["www-authenticate"] == "FlowRunner"
    assert got.json["code"] == "auth.invalid"


@pytest.mark.parametrize(("method", "target"), COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("local", ["restricted", "open"])
def test_network_takes_no_command(method: str, target: str, local: LocalAccess) -> None:
    """On the network listener the commands do not exist, open access or not."""
    assert ask(public_app(local=local), method, target).status == 404


@pytest.mark.parametrize(("method", "target"), COMMANDS.values(), ids=COMMANDS)
def test_control_socket_takes_commands(method: str, target: str) -> None:
    """On the control socket every command is carried out."""
    assert ask(control_app(), method, target, peer=COMMANDER).status in (200, 202)


@pytest.mark.parametrize(
    "target", [*READ_ADDRESSES.values(), *FULL_ADDRESSES.values(), *HEALTH_ADDRESSES.values()]
)
def test_control_socket_shows_everything(target: str) -> None:
    """On the control socket everything can be read, with any or no name in `Host`."""
    got = ask(control_app(), "GET", target, headers={"host": "flowrunner"}, peer=COMMANDER)

    assert got.status == 200


@pytest.mark.parametrize(("method", "target"), COMMANDS.values(), ids=COMMANDS)
def test_control_socket_refuses_forwarded_command(method: str, target: str) -> None:
    """A proxy in front of the control socket does not hand its rights to the world."""
    got = ask(control_app(), method, target, headers=FORWARDED, peer=COMMANDER)

    assert got.status == 401


def test_control_socket_has_no_hooks() -> None:
    """Deliveries come by network alone."""
    assert ask(control_app(), "POST", "/hooks/default/x", peer=COMMANDER).status == 404


@pytest.mark.parametrize("target", UNKNOWN_ADDRESSES.values(), ids=UNKNOWN_ADDRESSES)
def test_unknown_address_is_not_found(target: str) -> None:
    """What the table does not name exactly does not exist."""
    got = get(public_app(local="open"), target)

    assert got.status == 404
    assert got.json["code"] == "not_found"


def test_unknown_address_tells_strangers_nothing() -> None:
    """A caller without rights cannot tell an unknown address from a known one."""
    known = get(public_app(), "/api/v1/flows", FORWARDED)
    unknown = get(public_app(), "/api/v1/nothing", FORWARDED)

    assert (known.status, known.body) == (unknown.status, unknown.body)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_wrong_method_names_the_right_ones(method: str) -> None:
    """A method that the address does not take is answered 405 with `Allow`."""
    got = ask(public_app(), method, "/api/v1/flows")

    assert got.status == 405
    assert got.headers["allow"] == "GET, HEAD"
    assert got.json["code"] == "http.method"


@pytest.mark.parametrize(
    "target", [*READ_ADDRESSES.values(), *FULL_ADDRESSES.values(), *HEALTH_ADDRESSES.values()]
)
def test_head_is_get_without_a_body(target: str) -> None:
    """HEAD works wherever GET does and answers with the same head."""
    whole = get(public_app(local="open"), target)
    head = ask(public_app(local="open"), "HEAD", target)

    assert (head.status, head.headers) == (whole.status, whole.headers)
    assert head.body == b""


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost:8080", "127.0.0.1", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080"],
)
def test_names_of_this_machine_are_served(host: str) -> None:
    """A request under a loopback name is served, with any port."""
    assert get(public_app(), "/api/v1/flows", {"host": host}).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "flows.example.com",
        "localhost.example.com",
        "127.0.0.1.example.com",
        "127.0.0.1:8080:1",
        "user@localhost",
        "localhost.",
        "192.0.2.1",
        "0.0.0.0",
        "[::2]",
        "::1",
        "127.1",
        "",
    ],
)
def test_other_names_are_misdirected(host: str) -> None:
    """A name that is not of this machine is refused: a browser may have been tricked into it."""
    got = get(public_app(local="open"), "/api/v1/flows", {"host": host})

    assert got.status == 421
    assert got.json["code"] == "http.misdirected"


def test_two_names_are_misdirected() -> None:
    """Two `Host` headers are refused, whatever they say."""
    headers = (("host", "localhost"), ("host", "localhost"))
    call = Call(method="GET", target="/api/v1/flows", headers=headers)

    assert asyncio.run(answer(public_app(), call)).status == 421


def test_configured_name_is_served() -> None:
    """The host that the daemon was told to listen on may be in `Host` too."""
    hosts = LocalHosts(frozenset({"flows.internal"}))
    app = make_public_app(make_parts(), access=make_access(), hosts=hosts)

    assert get(app, "/api/v1/flows", {"host": "flows.internal:8080"}).status == 200


def test_only_health_and_hooks_are_public() -> None:
    """No address is public besides health and hooks, on either listener."""
    public, control = (
        {route.path for route in table.routes if route.right is Right.PUBLIC}
        for table in (public_table(make_parts()), control_table(make_parts()))
    )

    assert public == {"/livez", "/readyz", "/healthz", "/hooks/*"}
    assert control == {"/livez", "/readyz", "/healthz"}


def test_every_address_that_needs_a_right_asks_for_it() -> None:
    """Walking the whole table without rights, nothing but the public addresses is served."""
    for route in public_table(make_parts()).routes:
        target = address_for(route)
        got = ask(public_app(local="open"), method_for(route), target, headers=FORWARDED)
        served = got.status == 200 or route.path == "/hooks/*"

        assert served is (route.right is Right.PUBLIC), target


def test_hooks_with_a_listener_of_their_own_are_there_alone() -> None:
    """The tables of two listeners are that of one: hooks and `/livez` here, all but hooks there."""
    own, rest = (
        {route.path for route in table(make_parts()).routes}
        for table in (hooks_table, reading_table)
    )

    assert own == {"/livez", "/hooks/*"}
    assert own | rest == {route.path for route in public_table(make_parts()).routes}
    assert "/hooks/*" not in rest


def test_listener_of_hooks_shows_nothing_else() -> None:
    """On it even a caller on this machine finds no API and no metrics."""
    parts = make_parts()
    access = make_access(AccessRules(local="open"))
    app = make_public_app(parts, access=access, hosts=LocalHosts(), table=hooks_table(parts))

    assert [get(app, target).status for target in ("/livez", "/metrics", "/api/v1/flows")] == [
        *(200, 404, 404)
    ]
    assert ask(app, "POST", "/hooks/default/backup/push").json["code"] == "auth.invalid"


def test_every_address_of_the_table_is_reached() -> None:
    """No route hides another one: each address finds its own route."""
    for table in (public_table(make_parts()), control_table(make_parts())):
        for route in table.routes:
            match = table.match(address_for(route))

            assert match is not None
            assert match.route is route


def test_route_states_its_right() -> None:
    """A route without a right cannot be made: forgetting it opens nothing."""

    async def endpoint(_request: object) -> Response:
        return Response()

    with pytest.raises(TypeError, match="right"):
        Route(path="/x", methods=frozenset({"GET"}), endpoint=endpoint)  # type: ignore[call-arg]


def test_only_the_network_changes_nothing() -> None:
    """Every address of the network listener takes GET alone, hooks aside."""
    methods = {
        route.path: route.methods
        for route in public_table(make_parts()).routes
        if route.path != "/hooks/*"
    }

    assert set(methods.values()) == {frozenset({"GET"})}


def test_table_matches_whole_segments() -> None:
    """A parameter stands for exactly one segment that is not empty."""

    async def endpoint(_request: object) -> Response:
        return Response()

    table = RouteTable(
        [Route(path="/a/{name}/b", methods=frozenset(), right=Right.READ, endpoint=endpoint)]
    )
    match = table.match("/a/x y/b")

    assert match is not None
    assert match.params == {"name": "x y"}
    assert [table.match(path) for path in ("/a//b", "/a/x", "/a/x/y/b", "/a/x/b/")] == [None] * 4
