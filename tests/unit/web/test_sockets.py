"""Sockets are bound or refused with a reason; nothing that is in use is taken away."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from flowrunner.errors import FlowError
from flowrunner.web.sockets import address_of, bind_tcp, bind_unix, remove_unix


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A place for a socket, short enough wherever the tests run."""
    here = Path.cwd()
    os.chdir(tmp_path)
    yield Path("control.sock")
    os.chdir(here)


def can_connect(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def refusal_of_unix(path: Path) -> str:
    with pytest.raises(FlowError) as caught:
        bind_unix(path)
    return caught.value.code


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST"])
def test_tcp_takes_a_free_port(host: str) -> None:
    """Port 0 is a free port, which the address tells; connections are taken at once."""
    with closing(bind_tcp(host, 0)) as bound:
        port = bound.getsockname()[1]

        assert address_of(bound) == f"http://127.0.0.1:{port}"
        socket.create_connection(("127.0.0.1", port)).close()


def test_tcp_connections_do_not_wait_to_send() -> None:
    """What is accepted sends at once: a second piece waits for no acknowledgement."""
    with closing(bind_tcp("127.0.0.1", 0)) as bound:
        with socket.create_connection(bound.getsockname()):
            accepted, _ = bound.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_tcp_knows_ipv6() -> None:
    """An IPv6 address is bound and written in brackets."""
    try:
        bound = bind_tcp("::1", 0)
    except FlowError:
        pytest.skip("no IPv6 here")
    with closing(bound):
        assert address_of(bound) == f"http://[::1]:{bound.getsockname()[1]}"


def test_tcp_refuses_a_port_in_use() -> None:
    """A second listener on a port is refused at once, naming the port."""
    with closing(bind_tcp("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
        with pytest.raises(FlowError, match=str(port)) as caught:
            bind_tcp("127.0.0.1", port)

    assert caught.value.code == "port_in_use"


@pytest.mark.parametrize("host", ["192.0.2.1", "999.1.1.1"], ids=["not-ours", "no-address"])
def test_tcp_refuses_what_cannot_be_bound(host: str) -> None:
    """Any other failure says what was tried."""
    with pytest.raises(FlowError, match=host) as caught:
        bind_tcp(host, 0)
    assert caught.value.code == "bind_failed"


def test_unix_listens_with_its_mode(path: Path) -> None:
    """The file has the mode that was asked for, whatever the umask."""
    before = os.umask(0o077)
    try:
        bound = bind_unix(path, 0o660)
    finally:
        os.umask(before)
    with closing(bound):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert address_of(bound) == "unix:control.sock"
        assert can_connect(path)


def test_unix_replaces_what_nobody_answers_on(path: Path) -> None:
    """The file of a daemon that was killed does not stand in the way of the next."""
    bind_unix(path).close()
    assert path.exists()

    with closing(bind_unix(path)):
        assert can_connect(path)


@pytest.mark.parametrize(
    ("mode", "bits"), [(0o600, 0o600), (0o666, 0o666)], ids=["owner", "everyone"]
)
def test_unix_takes_its_group_from_a_folder_that_passes_it_on(
    path: Path, mode: int, bits: int
) -> None:
    """In a setgid folder the file has the folder's group, and keeps the mode that was asked for."""
    others = [12_345] if os.geteuid() == 0 else [it for it in os.getgroups() if it != os.getegid()]
    if not others:
        pytest.skip("this user is in one group alone")
    os.chown(path.parent, -1, others[0])
    path.parent.chmod(0o2755)

    with closing(bind_unix(path, mode)):
        assert path.stat().st_gid == others[0]
        assert stat.S_IMODE(path.stat().st_mode) == bits


@pytest.mark.heavy
def test_unix_has_one_owner_whoever_starts_at_the_same_moment(path: Path) -> None:
    """Of many that find a left-over at once one listens, and the others learn that it does."""
    for _ in range(20):
        bind_unix(path).close()
        gate = threading.Barrier(4)

        def race(gate: threading.Barrier = gate) -> socket.socket | str:
            gate.wait()
            try:
                return bind_unix(path)
            except FlowError as error:
                return error.code

        with ThreadPoolExecutor(4) as racers:
            ends = [end.result() for end in [racers.submit(race) for _ in range(4)]]
        bound = [end for end in ends if isinstance(end, socket.socket)]
        works = can_connect(path)
        for each in bound:
            remove_unix(each)
            each.close()

        assert (len(bound), ends.count("socket_in_use"), works) == (1, 3, True)


@pytest.mark.heavy
def test_unix_is_bound_although_somebody_holds_its_folder(path: Path) -> None:
    """Whoever can read the folder can hold its lock; that delays a start, and prevents none."""
    held = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        with closing(bind_unix(path)):
            assert can_connect(path)
    finally:
        os.close(held)


def test_unix_leaves_a_socket_in_use(path: Path) -> None:
    """A socket that somebody answers on is refused and goes on working."""
    with closing(bind_unix(path)):
        assert refusal_of_unix(path) == "socket_in_use"
        assert can_connect(path)


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_unix_removes_nothing_but_sockets(path: Path, kind: str) -> None:
    """Whatever else has the name is refused and left alone."""
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("elsewhere")
    before = path.lstat()

    assert refusal_of_unix(path) == "bind_failed"
    assert path.lstat() == before


def test_unix_needs_its_folder(path: Path) -> None:
    """A missing folder is named, not made."""
    with pytest.raises(FlowError, match="its folder must be there") as caught:
        bind_unix(Path("missing") / path)
    assert caught.value.code == "bind_failed"


def test_unix_refuses_a_long_path() -> None:
    """A path that the kernel has no room for is refused with a hint; 107 bytes still fit."""
    fits = Path("/tmp/" + "é" * 51)
    assert len(os.fsencode(fits)) == 107

    with pytest.raises(FlowError, match=r"server\.listen") as caught:
        bind_unix(fits.with_name(fits.name + "x"), setting="server.listen")
    assert caught.value.code == "socket_path"


def test_remove_unix_leaves_the_file_of_another_daemon(path: Path) -> None:
    """Where somebody has removed the file, and another daemon listens there since."""
    with closing(bind_unix(path)) as first:
        path.unlink()
        with closing(bind_unix(path)) as second:
            remove_unix(first)
            assert path.is_socket()
            remove_unix(second)
            assert not path.exists()


def test_remove_unix_removes_its_file_alone(path: Path) -> None:
    """The file of a unix socket is removed, twice without harm; TCP has none."""
    with closing(bind_unix(path)) as bound:
        remove_unix(bound)
        remove_unix(bound)
        assert not path.exists()
    with closing(bind_tcp("127.0.0.1", 0)) as bound:
        remove_unix(bound)
