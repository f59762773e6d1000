"""The section `server.tls`: the certificate with which the daemon speaks HTTPS by itself."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path

from flowrunner.config.kinds import about as _about
from flowrunner.config.kinds import file_path
from flowrunner.dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """HTTPS without a proxy; in force once it has a `certificate`."""

    certificate: Path | None = field(
        default=None,
        metadata=_about(file_path(nullable=True), example="/etc/flowrunner/tls/fullchain.pem"),
    )
    """File with the certificate and those between it and the root, in PEM. Default (null): none, so
    that `server.listen` speaks HTTP. It is read again at a reload, for connections that begin after
    it; one that cannot be used leaves the one before in force, and the reload fails."""

    key: Path | None = field(
        default=None,
        metadata=_about(file_path(nullable=True), example="/etc/flowrunner/tls/privkey.pem"),
    )
    """File with the private key of the certificate, in PEM, without a password. Default (null):
    none, so it must be written beside `certificate`."""
