"""As whom a program may run: the daemon's own user, or one that a privileged daemon lists."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path

import pytest

from flowrunner.errors import ExecutionError
from flowrunner.system.identity import Identity, as_user
from flowrunner.system.users import OWN_USER, LocalUsers, can_become_others, local_users

OWN = pwd.getpwuid(os.geteuid()).pw_name
OTHER = next(it.pw_name for it in pwd.getpwall() if it.pw_uid not in (0, os.geteuid()))
STATUS = "Name:\tpython\nCapEff:\t{}\n"


def privileged(*allowed: str, setpriv: str | None = "/usr/bin/setpriv") -> LocalUsers:
    """Users of a daemon that can become others."""
    return LocalUsers(allowed, is_privileged=True, setpriv=setpriv)


def own_groups() -> Identity:
    """Who runs the tests, as somebody to hand things over to: nobody needs rights for that."""
    return Identity(
        name=OWN,
        uid=os.geteuid(),
        gid=os.getegid(),
        groups=(os.getegid(),),
        home="/",
        setpriv="/usr/bin/setpriv",
    )


def test_own_user_is_always_permitted() -> None:
    """Its name changes nothing: no setting is needed, and nobody is to be become."""
    for users in (OWN_USER, privileged(), local_users([])):
        assert users.problem(OWN, "default") == ""
        assert users.identity(OWN, "default") is None


@pytest.mark.parametrize(
    ("users", "name", "problem"),
    [
        pytest.param(OWN_USER, "no-such-user", "this host has no user no-such-user", id="unknown"),
        pytest.param(
            privileged(OTHER), "no-such-user", "this host has no user no-such-user", id="u"
        ),
        pytest.param(OWN_USER, OTHER, "this daemon cannot become the user", id="plain"),
        pytest.param(
            LocalUsers([OTHER], is_privileged=False, setpriv="/x"),
            OTHER,
            "User=root in its unit, as privileged.conf.example shows, and the setting engine.users",
            id="listed-and-plain",
        ),
        pytest.param(
            privileged(), OTHER, f"the setting engine.users does not list {OTHER}", id="unlisted"
        ),
        pytest.param(privileged(OTHER, setpriv=None), OTHER, "has no setpriv (util-linux)", id="t"),
    ],
)
def test_problem_names_what_is_missing(users: LocalUsers, name: str, problem: str) -> None:
    """The text says what to do, and is the error of a program that was to start all the same."""
    assert problem in users.problem(name, "default")
    with pytest.raises(ExecutionError) as caught:
        users.identity(name, "default")
    assert (caught.value.code, caught.value.final) == ("user_not_permitted", True)
    assert caught.value.message == users.problem(name, "default")


def test_user_of_an_account_is_refused_to_the_others() -> None:
    """`engine.users` is for all accounts; who is listed for one alone is for that one."""
    of_accounts = {"pay": frozenset({OTHER})}
    users = LocalUsers([], of_accounts, is_privileged=True, setpriv="/usr/bin/setpriv")
    assert users.has_others
    found = users.identity(OTHER, "pay")
    assert found is not None
    assert found.name == OTHER
    text = f"neither engine.users nor accounts.web.users of the settings lists {OTHER}"
    assert users.problem(OTHER, "web") == text
    both = LocalUsers([OTHER], of_accounts, is_privileged=True, setpriv="/usr/bin/setpriv")
    assert [both.problem(OTHER, account) for account in ("pay", "web")] == ["", ""]


def test_members_of_the_daemons_group_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its logs and its socket are open to that group."""
    account = pwd.getpwnam(OTHER)
    monkeypatch.setattr(os, "getegid", lambda: account.pw_gid)
    assert "is in the group of this daemon" in privileged(OTHER).problem(OTHER, "default")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize(
    ("held", "problem"),
    [
        ("000001ffffffffff", ""),
        ("00000000000000e3", ""),
        ("0000000000000000", "cannot"),
        ("00000000000000e2", "cannot"),
        ("0000000000000063", "cannot"),
    ],
)
def test_root_without_its_rights_is_not_privileged(tmp_path: Path, held: str, problem: str) -> None:
    """A unit may run as root and hold no capability: then nobody else is promised."""
    (tmp_path / "status").write_text(STATUS.format(held))
    assert can_become_others(tmp_path / "status") is (problem == "")


@pytest.mark.skipif(os.geteuid() == 0, reason="needs a user without rights")
def test_nobody_but_root_is_privileged(tmp_path: Path) -> None:
    """Capabilities of another user than root are not enough for what the daemon does."""
    (tmp_path / "status").write_text(STATUS.format("000001ffffffffff"))
    assert not can_become_others(tmp_path / "status")


def test_words_keep_the_environment_from_root() -> None:
    """No variable of the flow has its name before the user is there, and no value is a word."""
    env = {"LD_PRELOAD": "evil", "IFS": "x", "_0": "a", "__": "b", "PATH": "/p", "SECRET": "s3cret"}
    words, first = as_user(own_groups(), env)
    assert not (first.keys() - {"PATH"}) & env.keys()
    assert sorted(first.values()) == sorted([*env.values(), first["PATH"]])
    assert first["PATH"] == "/usr/sbin:/usr/bin:/sbin:/bin"
    assert not any(value in word for word in words for value in ("evil", "s3cret"))


@pytest.mark.parametrize(
    "env",
    [
        {"A": "1"},
        {"PATH": "/bin", "A": "q\"uo'te $HOME `id` \\ \n end\n", "IFS": "A1", "EMPTY": ""},
        {"_0": "x", "_1": "y", "__0": "z", "HOME": "/h", "PS1": "$(id)"},
        {f"V{number}": str(number) for number in range(500)},
    ],
)
def test_environment_arrives_as_it_was(env: dict[str, str]) -> None:
    """Behind the shell that gives them their names, the variables are exactly those of the flow."""
    words, first = as_user(own_groups(), env)
    shell = words[words.index("/bin/sh") :]
    found = subprocess.run(
        [*shell, "/usr/bin/env", "-0"], env=first, capture_output=True, check=True
    )
    pairs = (entry.partition("=") for entry in found.stdout.decode().split("\0") if entry)
    seen = {name: value for name, _, value in pairs}
    assert {
        name: value
        for name, value in seen.items()
        if name not in ("PWD", "OLDPWD", "_", "SHLVL") or name in env
    } == env


def test_name_that_is_none_is_refused() -> None:
    """What a shell could take for something else is never pasted."""
    with pytest.raises(ValueError, match="no name of a variable"):
        as_user(own_groups(), {"A;id": "1"})


@pytest.fixture
def way(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A state directory with the folders down to an execution."""
    for folder in tmp_path.parents:
        if not folder.stat().st_mode & 0o001 and folder.stat().st_uid != os.geteuid():
            pytest.skip(f"{folder} cannot be passed")
    state = tmp_path / "state"
    execution = state / "work" / "e"
    execution.mkdir(parents=True)
    for folder in (state, state / "work", execution):
        folder.chmod(0o700)
    return state, state / "work", execution


def test_way_is_passable_and_not_readable(way: tuple[Path, Path, Path]) -> None:
    """The folders on the way can be passed by all; what is handed over keeps its mode."""
    own = way[2] / "files"
    own.mkdir(0o700)
    (way[2] / "script").touch(0o600)
    privileged().hand_over(own_groups(), way, [own, way[2] / "script"])
    assert [folder.stat().st_mode & 0o777 for folder in way] == [0o711] * 3
    assert own.stat().st_mode & 0o777 == 0o700
    assert (way[2] / "script").stat().st_mode & 0o777 == 0o600


def test_link_is_not_followed(way: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """Whoever could put a link there gains nothing: it is the link that changes hands."""
    (way[2] / "script").symlink_to(tmp_path / "missing")
    privileged().hand_over(own_groups(), way, [way[2] / "script"])
    assert (way[2] / "script").is_symlink()


@pytest.mark.parametrize("mode", [0o604, 0o601, 0o602])
def test_open_neighbour_keeps_the_way_closed(way: tuple[Path, Path, Path], mode: int) -> None:
    """Whatever lies beside the way was protected by the folder alone, so the folder stays shut."""
    (way[0] / "notes").touch()
    (way[0] / "notes").chmod(mode)
    with pytest.raises(ExecutionError, match="chmod o-rwx") as caught:
        privileged().hand_over(own_groups(), way, [])
    assert caught.value.code == "unsafe_permissions"
    assert way[0].stat().st_mode & 0o777 == 0o700


def test_folder_above_the_state_is_left_alone(way: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """A user that cannot come as far as the state is told so; nothing above it is changed."""
    stranger = Identity(
        name="stranger", uid=4_000_000, gid=4_000_000, groups=(), home="/", setpriv="/x"
    )
    tmp_path.chmod(0o700)
    with pytest.raises(ExecutionError, match="stranger may not pass") as caught:
        privileged().hand_over(stranger, way, [])
    assert caught.value.code == "user_not_permitted"
    assert tmp_path.stat().st_mode & 0o777 == 0o700
