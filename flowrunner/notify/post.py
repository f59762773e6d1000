"""Posts a small body over HTTP/1.1 and reads how it was answered, and nothing else.

Over asyncio's own streams rather than `urllib` in a thread: one deadline holds for all of it, names
included, and a cancel ends it at once. Redirects are an answer like others: whoever is trusted with
an address is not sent elsewhere. Certificates are verified. Proxies of the environment are not
used. Source: RFC 9112.
"""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from flowrunner.dataclass import dataclass
from flowrunner.notify.channel import NotSentError
from flowrunner.notify.connecting import connected_to
from flowrunner.system.threads import InThread

MOST_HEAD_BYTES = 32 * 1024
"""Of an answer: its head is all that is read."""

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: [^\r\n]*)?")
_RETRY_AFTER = re.compile(rb"\r\nretry-after:[ \t]*([0-9]{1,6})[ \t]*\r\n", re.IGNORECASE)
_REFUSED = frozenset({400, 413, 415, 422})
"""Answers that say that this message will never be taken; after all others it is tried again."""

_INTERIM, _DONE, _BEYOND = 200, 200, 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Poster:
    """Posts for one channel.

    Attributes:
        timeout_s: Bound of one request, from looking up the name to the head of the answer.
        ca_file: Certificates that are trusted in the place of the system's.
        in_thread: Looks names up and reads certificates.
    """

    timeout_s: float
    ca_file: Path | None = None
    in_thread: InThread

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Posts a body.

        Raises:
            NotSentError: It was not answered with 2xx.
        """
        try:
            async with asyncio.timeout(self.timeout_s):
                status, retry_after_s = await self._post(url, body, headers)
        except TimeoutError as error:
            raise NotSentError(f"no answer within {self.timeout_s:g} s") from error
        except asyncio.LimitOverrunError as error:
            text = f"the head of the answer is longer than {MOST_HEAD_BYTES // 1024} KiB"
            raise NotSentError(text) from error
        except EOFError as error:
            raise NotSentError("the connection was closed without an answer") from error
        except (OSError, ValueError) as error:
            raise NotSentError(f"{type(error).__name__}: {_plain(error)}") from error
        if not _DONE <= status < _BEYOND:
            raise NotSentError(
                f"answered {status}",
                is_refused=status in _REFUSED,
                retry_after_s=retry_after_s,
            )

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, float]:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise NotSentError("the secret holds no address of HTTP")
        tls = None
        if parts.scheme == "https":
            tls = await self.in_thread(partial(ssl.create_default_context, cafile=self.ca_file))
        port = parts.port or (80 if tls is None else 443)
        held = await connected_to(parts.hostname, port, self.in_thread)
        reader, writer = await asyncio.open_connection(
            sock=held,  # from here on it is asyncio's to close
            ssl=tls,
            server_hostname=None if tls is None else parts.hostname,
            limit=MOST_HEAD_BYTES,
        )
        try:
            writer.write(_head(parts, len(body), headers) + body)
            await writer.drain()
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                found = _STATUS.match(head)
                if found is None:
                    raise NotSentError("the answer is no HTTP")
                status = int(found.group(1))
                if status >= _INTERIM:
                    wait = _RETRY_AFTER.search(head)
                    return status, float(wait.group(1)) if wait else 0.0
        finally:
            writer.transport.abort()


def _head(parts: SplitResult, length: int, headers: Mapping[str, str]) -> bytes:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [
        f"POST {target} HTTP/1.1",
        f"Host: {parts.netloc.rpartition('@')[2]}",
        "User-Agent: FlowRunner",
        "Connection: close",
        f"Content-Length: {length}",
        *(f"{name}: {value}" for name, value in {**_login(parts), **headers}.items()),
    ]
    if any(not line.isprintable() or not line.isascii() for line in lines) or " " in target:
        raise NotSentError("the address, or a secret for a header, holds what no header may")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def _login(parts: SplitResult) -> Mapping[str, str]:
    """Returns the header for user and password of an address. Source: RFC 7617, section 2."""
    if parts.username is None:
        return {}
    text = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}


def _plain(error: Exception) -> str:
    """Returns what the system says, without anything that was received."""
    return (error.strerror or "") if isinstance(error, OSError) else "cannot be read"
