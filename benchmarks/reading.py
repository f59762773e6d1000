"""Row 11: what a daemon with many flows is asked again and again, over HTTP as others ask.

A connection that stays open, as a dashboard and a scraper have it.
"""

from __future__ import annotations

import http.client
import threading
import time

from benchmarks.restarts import Started

PAGE = "/api/v1/flows?limit=100"
METRICS = "/metrics"
SMALL = "/livez"
_CALM_S = 3.0
"""After a start, what begins with it is done."""
_PATIENCE_S = 30.0


class Asked:
    """A daemon with a client."""

    def __init__(self, daemon: Started) -> None:
        self._daemon = daemon
        self._port = daemon.port
        self._client = self._connect()
        time.sleep(_CALM_S)

    def seconds(self, path: str) -> float:
        """Returns the seconds until the whole answer is there."""
        return _ask(self._client, path)

    def held_s(self) -> float:
        """Returns the longest that a small answer takes while the metrics are read."""
        other, longest = self._connect(), 0.0
        reader = threading.Thread(target=_ask, args=(other, METRICS))
        reader.start()
        while reader.is_alive():
            longest = max(longest, self.seconds(SMALL))
        reader.join()
        other.close()
        return longest

    def close(self) -> None:
        """Ends the daemon."""
        self._client.close()
        self._daemon.close()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=_PATIENCE_S)


def _ask(client: http.client.HTTPConnection, path: str) -> float:
    began = time.perf_counter()
    client.request("GET", path)
    answer = client.getresponse()
    body = answer.read()
    assert answer.status == http.client.OK, body[:200]
    return time.perf_counter() - began
