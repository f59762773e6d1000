"""One owner of a state directory: a kernel lock that ends with the process that holds it.

The file stays behind on purpose: removing it would let two processes lock two files of one
name. It carries the holder's pid for the message alone; the lock is the kernel's.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from flowrunner.errors import StorageError

_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
_PID_BYTES = 32


class StateLock:
    """The lock of one state directory; usable as a context manager, acquired once.

    The descriptor is closed on exec, so no command that a flow starts can hold the lock.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"
        self._fd: int | None = None

    def acquire(self) -> None:
        """Takes the lock or fails at once; the folder must exist.

        Raises:
            StorageError: ``storage.locked`` names the pid of the holder,
                ``storage.read_only`` says that the folder cannot be written,
                ``storage.unavailable`` stands for the rest.
        """
        fd = self._open()
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError as error:
            held = self._locked_error(fd)
            os.close(fd)
            raise held from error
        except OSError as error:
            os.close(fd)
            raise self._storage_error(error) from error
        self._fd = fd

    def release(self) -> None:
        """Gives the lock back; nothing happens if it is not held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._storage_error(error) from error

    def _locked_error(self, fd: int) -> StorageError:
        text = os.pread(fd, _PID_BYTES, 0).decode("ascii", "replace").strip()
        pid = int(text) if text.isdecimal() else None
        holder = f"process {pid}" if pid else "another process"
        return StorageError(
            f"the state directory {self._path.parent} is in use by {holder}",
            code="storage.locked",
            details={"path": str(self._path), "pid": pid},
        )

    def _storage_error(self, error: OSError) -> StorageError:
        code = "storage.read_only" if error.errno in _READ_ONLY else "storage.unavailable"
        return StorageError(
            f"the lock {self._path} cannot be taken: {error.strerror}",
            code=code,
            details={"path": str(self._path)},
        )
