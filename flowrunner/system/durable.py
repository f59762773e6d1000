"""Writing so that a crash leaves the old content or the new, and making it last.

Source: rename(2), fsync(2), syncfs(2). A rename swaps the content at once for every reader;
only a sync of the file and then of its folder brings it over a loss of power.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

TEMPORARY_PREFIX = ".tmp-"
"""How the name of unfinished content begins; a crash may leave one behind."""

_PRIVATE = 0o700
_PRIVATE_FILE = 0o600
_TEMPORARY_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def keeps_owner_bits() -> bool:
    """Whether the umask that this process has now takes nothing from the owner of what it makes.

    Source: proc(5), `Umask` in /proc/pid/status.
    """
    try:
        status = Path("/proc/self/status").read_text(errors="replace")
        (word,) = (line[6:] for line in status.splitlines() if line.startswith("Umask:"))
        return not int(word, 8) & _PRIVATE
    except (OSError, ValueError):
        return False


def make_folders(path: Path, mode: int, *, keeps_owner_bits: bool = False) -> list[Path]:
    """Makes a folder of exactly this mode and its parents with 0700; returns those it made.

    Where the umask `keeps_owner_bits`, a folder for the owner alone needs no second call.
    """
    try:
        return [path] if _make_folder(path, mode, keeps_owner_bits) else []
    except FileNotFoundError:
        if path == path.parent:
            raise
    above = make_folders(path.parent, _PRIVATE, keeps_owner_bits=keeps_owner_bits)
    return [path, *above] if _make_folder(path, mode, keeps_owner_bits) else above


def _make_folder(
    folder: Path | str,
    mode: int,
    is_kept: bool,  # noqa: FBT001 - by place, hot path
    place: int | None = None,
) -> bool:
    """Returns whether it was not there; `place` is an open folder that a name begins in."""
    try:
        os.mkdir(folder, mode, dir_fd=place)
    except FileExistsError:
        if not _is_folder(folder, place):
            raise
        return False
    if not is_kept or mode & ~_PRIVATE:
        os.chmod(folder, mode, dir_fd=place)
    return True


def _is_folder(path: Path | str, place: int | None) -> bool:
    try:
        return stat.S_ISDIR(os.stat(path, dir_fd=place).st_mode)
    except OSError:
        return False


def replace_content(path: Path, data: bytes, *, mode: int, durable: bool) -> None:
    """Puts a file in the place of another in one moment; parents are made.

    The temporary file stands in the same folder, and is removed on any failure. When
    `durable`, file, folder and new parents are on disk at the return.
    """
    made: list[Path] = []
    temporary = _temporary_in(path.parent)
    try:
        fd = os.open(temporary, _TEMPORARY_FLAGS, _PRIVATE_FILE)
    except FileNotFoundError:
        made = make_folders(path.parent, _PRIVATE)
        fd = os.open(temporary, _TEMPORARY_FLAGS, _PRIVATE_FILE)
    _fill_and_move(fd, data, temporary, path, mode=mode, durable=durable)
    if durable:
        for folder in (path.parent, *(each.parent for each in made)):
            sync_folder(folder)


def replace_contents(
    above: Path, name: str, contents: Mapping[str, bytes], *, keeps_owner_bits: bool = False
) -> None:
    """Does what `replace_content` does for one name in folders below `above`, none durably.

    Thousands of these are written at a first start, and the kernel finds a name from an open
    folder faster than by a whole path.
    """
    make_folders(above, _PRIVATE, keeps_owner_bits=keeps_owner_bits)
    place = os.open(above, _FOLDER_FLAGS)
    mode = None if keeps_owner_bits else _PRIVATE_FILE
    word, is_new = _temporary_name(), False
    try:
        for folder, data in contents.items():
            temporary = f"{folder}/{word}"
            if is_new:  # as the one before: mostly all are, or none
                is_new = _make_folder(folder, _PRIVATE, keeps_owner_bits, place)
            try:
                fd = os.open(temporary, _TEMPORARY_FLAGS, _PRIVATE_FILE, dir_fd=place)
            except FileNotFoundError:
                is_new = _make_folder(folder, _PRIVATE, keeps_owner_bits, place)
                fd = os.open(temporary, _TEMPORARY_FLAGS, _PRIVATE_FILE, dir_fd=place)
            target = f"{folder}/{name}"
            _fill_and_move(fd, data, temporary, target, mode=mode, durable=False, place=place)
    finally:
        os.close(place)


def make_private_folders(
    above: Path,
    names: Iterable[str],
    is_over: Callable[[], bool],
    *,
    keeps_owner_bits: bool = False,
) -> None:
    """Makes folders below `above` until it is over; raises `OSError` at one that it cannot make."""
    make_folders(above, _PRIVATE, keeps_owner_bits=keeps_owner_bits)
    place = os.open(above, _FOLDER_FLAGS)
    try:
        for name in names:
            if is_over():
                return
            _make_folder(name, _PRIVATE, keeps_owner_bits, place)
    finally:
        os.close(place)


def _temporary_in(folder: Path | str) -> str:
    """Returns a name as text: paths cost more than the calls that take them."""
    return f"{folder}/{_temporary_name()}"


def _temporary_name() -> str:
    return f"{TEMPORARY_PREFIX}{os.urandom(8).hex()}"


def _fill_and_move(
    fd: int,
    data: bytes,
    temporary: str,
    target: Path | str,
    *,
    mode: int | None,
    durable: bool,
    place: int | None = None,
) -> None:
    """Fills a temporary file and gives it its name, or removes it."""
    try:
        _fill(fd, data, mode=mode, durable=durable)
        os.replace(temporary, target, src_dir_fd=place, dst_dir_fd=place)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=place)
        raise


def write_new_content(
    path: Path, data: bytes, *, mode: int, keeps_owner_bits: bool = False
) -> None:
    """Makes a file that was not there; on a failure some of it may stay."""
    fd = os.open(path, _TEMPORARY_FLAGS, mode)
    is_exact = keeps_owner_bits and not mode & ~_PRIVATE
    _fill(fd, data, mode=None if is_exact else mode, durable=False)


def _fill(fd: int, data: bytes, *, mode: int | None, durable: bool) -> None:
    try:
        if mode is not None:
            os.fchmod(fd, mode)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(fd, rest) :]
        if durable:
            os.fsync(fd)
    finally:
        os.close(fd)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder last."""
    fd = os.open(folder, _FOLDER_FLAGS)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_file_system(path: Path) -> None:
    """Waits until everything written to the file system of `path` is on disk.

    The standard library has no syncfs(2), and fsync of thousands of files costs thousands of
    disk flushes. An error of an earlier write is reported here once (Linux 5.8 and later).
    """
    import ctypes  # late: most commands never sync, and start-up time is a budget

    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if libc.syncfs(fd) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(fd)
