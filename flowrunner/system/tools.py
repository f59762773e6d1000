"""Short commands of the system (git), run to their end in the calling thread."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import IO, Protocol, cast

from flowrunner.errors import FlowError

MOST_OUTPUT_BYTES = 32 * 1024 * 1024
"""What a tool may print unless its caller says otherwise."""

NO_VARIABLES: Mapping[str, str] = MappingProxyType({})
"""None besides the bare ones."""

_OUTPUT_SHOWN = 1_000
_MOST_ERRORS_BYTES = 64 * 1024
_CHUNK_BYTES = 64 * 1024


class ToolFailedError(FlowError):
    """A tool is missing (code `tool.missing`), failed or took too long."""

    default_code = "tool.failed"


class ToolTalksTooMuchError(ToolFailedError):
    """A tool printed more than it may."""

    default_code = "tool.too_much"


class ToolRunner(Protocol):
    """Runs a tool and returns its standard output; blocks."""

    def __call__(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        feed: bytes = b"",
        most: int = MOST_OUTPUT_BYTES,
    ) -> bytes:
        """Gives it `feed` as standard input and returns at most so many bytes.

        Raises:
            ToolTalksTooMuchError: It printed more than `most` bytes.
            ToolFailedError: It is missing, its exit code is not 0, its time is up.
        """


class StoppedError(ToolFailedError):
    """A tool was ended, or not begun, because nobody waits for it any more."""

    default_code = "tool.stopped"


class StoppableTools:
    """Runs tools until it is stopped: a daemon that ends does not wait for a slow server."""

    def __init__(self) -> None:
        self._read_end, self._write_end = os.pipe()

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        feed: bytes = b"",
        most: int = MOST_OUTPUT_BYTES,
        env: Mapping[str, str] = NO_VARIABLES,
    ) -> bytes:
        """Does what `run_tool` does.

        Raises:
            StoppedError: It was stopped.
            ToolFailedError: As `run_tool`.
        """
        return run_tool(
            argv, timeout_s=timeout_s, feed=feed, most=most, env=env, stop_fd=self._read_end
        )

    def stop(self) -> None:
        """Ends what runs, and whatever is asked for from now on; may be called from any thread."""
        os.write(self._write_end, b"x")

    def close(self) -> None:
        """Gives back what it holds; after `stop`, and nothing may be asked for any more."""
        os.close(self._read_end)
        os.close(self._write_end)


def run_tool(
    argv: Sequence[str],
    *,
    timeout_s: float,
    feed: bytes = b"",
    most: int = MOST_OUTPUT_BYTES,
    env: Mapping[str, str] = NO_VARIABLES,
    stop_fd: int | None = None,
) -> bytes:
    """Runs a tool with a bare environment, in a session of its own.

    Whatever the tool started (git's filters, say) ends with it when it takes too long or prints
    too much: its process group is killed. A process that has left the group is not reached.

    Args:
        argv: The tool and its words.
        timeout_s: How long it may take.
        feed: Its standard input.
        most: Bytes that it may print.
        env: Variables besides the bare ones.
        stop_fd: Ends it as soon as there is something to read from this.

    Raises:
        StoppedError: It was stopped.
        ToolTalksTooMuchError: It printed more than `most` bytes.
        ToolFailedError: It is missing, failed, or took longer than `timeout_s` seconds.
    """
    variables = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        **env,
    }
    try:
        code, output, errors = _run(argv, variables, timeout_s, feed, most, stop_fd)
    except FileNotFoundError as error:
        raise ToolFailedError(f"{argv[0]}: {error}", code="tool.missing") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolFailedError(f"{argv[0]}: {error}") from error
    if code != 0:
        text = errors.decode(errors="replace").strip()[:_OUTPUT_SHOWN]
        raise ToolFailedError(f"{argv[0]} exited with {code}: {text}")
    return output


def _run(
    argv: Sequence[str],
    env: Mapping[str, str],
    timeout_s: float,
    feed: bytes,
    most: int,
    stop_fd: int | None,
) -> tuple[int, bytes, bytes]:
    """Returns the exit code, standard output and standard error."""
    with subprocess.Popen(
        list(argv),
        env=env,
        stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        bufsize=0,
    ) as tool:
        try:
            output, errors = _talk(tool, feed, most, timeout_s, stop_fd)
        except BaseException:
            # Not reaped yet, even if it has ended and only its pipes are held open: so the
            # number of its group cannot have been given to anyone else.
            if tool.returncode is None:
                os.killpg(tool.pid, signal.SIGKILL)
            raise
    return tool.returncode, output, errors


def _talk(
    tool: subprocess.Popen[bytes], feed: bytes, most: int, timeout_s: float, stop_fd: int | None
) -> tuple[bytes, bytes]:
    """Feeds and reads until all its pipes are closed and the tool has ended."""
    deadline = time.monotonic() + timeout_s
    resting = int(stop_fd is not None)
    output, errors = bytearray(), bytearray()
    rest = memoryview(feed)
    with selectors.DefaultSelector() as ready:
        _register(ready, tool, output, errors, stop_fd)
        while len(ready.get_map()) > resting:
            found = ready.select(max(deadline - time.monotonic(), 0))
            if not found and time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired(tool.args, timeout_s)
            for key, _ in found:
                if key.fd == stop_fd:
                    raise StoppedError("it was stopped")
                if key.data is None:
                    rest = rest[_given(key.fd, rest) :]
                    is_open = bool(rest)
                else:
                    chunk = os.read(key.fd, _CHUNK_BYTES)
                    key.data.extend(chunk)
                    is_open = bool(chunk)
                if not is_open:
                    ready.unregister(key.fileobj)
                    _open(key.fileobj).close()
            if len(output) > most:
                raise ToolTalksTooMuchError(f"it printed more than {most} bytes")
            del errors[_MOST_ERRORS_BYTES:]
    tool.wait(max(deadline - time.monotonic(), 0))
    return bytes(output), bytes(errors)


def _register(
    ready: selectors.BaseSelector,
    tool: subprocess.Popen[bytes],
    output: bytearray,
    errors: bytearray,
    stop_fd: int | None,
) -> None:
    for pipe, text in ((tool.stdout, output), (tool.stderr, errors)):
        ready.register(_open(pipe), selectors.EVENT_READ, text)
    if tool.stdin is not None:
        os.set_blocking(tool.stdin.fileno(), False)
        ready.register(tool.stdin, selectors.EVENT_WRITE)
    if stop_fd is not None:
        ready.register(stop_fd, selectors.EVENT_READ)


def _open(pipe: object) -> IO[bytes]:
    """Returns a pipe that is there: each was asked for."""
    return cast(IO[bytes], pipe)


def _given(fd: int, rest: memoryview) -> int:
    """Writes what fits; a tool that no longer listens is given everything, in vain."""
    try:
        return os.write(fd, rest[:_CHUNK_BYTES])
    except BrokenPipeError:
        return len(rest)
