"""The section `server`: how the daemon can be reached, and what the host is."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import Any, get_args

from flowrunner.config.addresses import Address, ListenAddress, SocketAccess, listen_address
from flowrunner.config.channel_kinds import web_address
from flowrunner.config.host_kinds import host_facts, host_labels
from flowrunner.config.kinds import about as _about
from flowrunner.config.kinds import choice, count, file_path, flag, size
from flowrunner.config.network_kinds import Proxy, origins, proxies, rate
from flowrunner.config.tls_settings import TlsSettings
from flowrunner.dataclass import dataclass
from flowrunner.model.rates import Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """How the daemon can be reached."""

    listen: Address = field(
        default=ListenAddress("127.0.0.1", 8080),
        metadata=_about(listen_address(), example="127.0.0.1:9090", flag="--listen"),
    )
    """Address and port for HTTP, `HOST:PORT` or `[::1]:PORT`, port 0 takes a free one; or
    `unix:/PATH`, a unix socket. Default `127.0.0.1:8080`, which only this machine reaches. An
    address that others reach needs a token (`auth.tokens` or an account's), because callers off
    this machine see nothing without one."""

    hooks_listen: Address | None = field(
        default=None, metadata=_about(listen_address(nullable=True), example="0.0.0.0:9000")
    )
    """Address of a listener for hooks alone, with `/hooks/` and `/livez`, written as that of
    `server.listen`, which has no hooks then. Default (null): none, so that hooks are on
    `server.listen`. Any address may be written, without a token as well, because hooks prove
    themselves."""

    socket_access: SocketAccess = field(
        default="group",
        metadata=_about(choice(get_args(SocketAccess)), example="everyone"),
    )
    """Who may connect to the `unix:` addresses of `server.listen` and `server.hooks_listen`: the
    `owner` of the daemon's account, the `group` of the file, or `everyone` on this machine; root
    always may. Default `group`: that of the daemon, or that of the folder where the folder passes
    its group on (setgid). It says nothing of the control socket."""

    control_socket: Path = field(
        default=Path(".flowrunner/control.sock"),
        metadata=_about(file_path(nullable=True), example="/run/flowrunner/control.sock"),
    )
    """Path of the unix socket through which the commands talk to the daemon, at most 107 bytes.
    Default (null): `control.sock` in `$RUNTIME_DIRECTORY` when systemd sets that, else in
    `storage.path`, so that a second daemon with its own state has its own socket."""

    max_body: int = field(
        default=4 * 1024**2, metadata=_about(size(1024, 64 * 1024**2), example="8MiB")
    )
    """Largest HTTP request body, a size. Default `4MiB`, from `1KiB` to `64MiB`. It holds before a
    delivery is authenticated and a body is held in memory, so it bounds what a stranger can
    occupy; most of what webhooks carry is far smaller."""

    max_connections: int = field(default=256, metadata=_about(count(1, 65_536), example=1024))
    """Most HTTP connections at once, a number; more are refused. Default 256: far above what
    webhooks and a scraper open, far below the usual limit of 1024 open files."""

    rate_limit: Rate | None = field(
        default=Rate(100, 1.0, "100/1s"), metadata=_about(rate(), example="30/1m")
    )
    """Most requests of one address off this machine, a number per time (`100/1s`, `30/1m`) or
    `off`; IPv6 counts by /64. So many may come at once, more are answered 429 with `Retry-After`.
    Default `100/1s`: far more than a forge or a scraper sends. What a proxy passes on counts for
    the proxy unless it is in `server.trusted_proxies`; callers on this machine are not counted."""

    trusted_proxies: tuple[Proxy, ...] = field(
        default=(), metadata=_about(proxies(), example=["127.0.0.1", "10.0.0.0/8"])
    )
    """Addresses and networks of reverse proxies whose `X-Forwarded-For` is believed, and `unix` for
    whoever may connect to a unix socket, a list (in the environment with commas between): the
    address that the nearest of them saw is the caller's, for the log and the rate limit. Default
    `[]`: none. What comes from them is never taken for a caller on this machine."""

    unproven_hooks: bool = field(default=False, metadata=_about(flag(), example=True))
    """Whether webhooks with `auth: {type: none}` take deliveries of other machines, too, `true` or
    `false`. What a proxy passes on is of another machine. Default `false`: whoever reaches the
    port could start such a flow."""

    cors: tuple[str, ...] = field(
        default=(), metadata=_about(origins(), example=["https://status.example.com"])
    )
    """Origins of web pages that may read the API in a browser, a list (in the environment with
    commas between). Default `[]`: none. It opens nothing by itself: such a page needs a token, too,
    or a browser on this machine."""

    labels: tuple[str, ...] = field(
        default=(), metadata=_about(host_labels(), example=["db", "eu-1"])
    )
    """What this host is, a list of words (in the environment with commas between): a flow with
    `runs_on` runs where all its labels are found. Expressions see them as `host.labels`. Default
    `[]`: such flows run elsewhere. Labels are compared as written, with case."""

    facts: tuple[tuple[str, Any], ...] = field(
        default=(),
        metadata=_about(host_facts(), example={"region": "eu-1", "cores": 8}),
    )
    """What differs between hosts and one flow wants to know, a map of texts, numbers and truth
    values (in the environment `region=eu-1,tier=2`, texts all). Expressions see them as
    `host.facts.NAME`, null where this host has none. Default `{}`. No place for secrets: who
    may read the settings of a flow's host sees them."""

    public_url: str | None = field(
        default=None, metadata=_about(web_address(), example="https://flows.example.com")
    )
    """Address at which people reach this daemon, through a proxy or not; notifications link below
    it. Default (null): none, so that they hold no link."""

    tls: TlsSettings = field(default_factory=TlsSettings)
