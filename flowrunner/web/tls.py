"""TLS: a certificate that can be exchanged while connections are open.

Who connects is handed to the certificate in force in the middle of the handshake; so a new one
holds from the next connection on, and nobody is cut off. TLS 1.2 and later, the ciphers of
Python's defaults. Source: RFC 9325 (BCP 195), section 3.1.1; Python documentation,
`SSLContext.sni_callback`.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from flowrunner.errors import SettingsError


class Tls:
    """The certificate of a listener; made and read in a thread, since both block.

    Args:
        certificate: PEM file with the certificate and those between it and the root.
        key: PEM file with its private key.

    Raises:
        SettingsError: ``settings.tls``: the files cannot be used.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._files = certificate, key
        self.context = self._current = self.read()
        self.context.sni_callback = self._choose

    def read(self) -> ssl.SSLContext:
        """Returns what the files hold now; raises `SettingsError` (``settings.tls``)."""
        certificate, key = self._files
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            # A key with a password is refused: nobody is there to be asked for it.
            context.load_cert_chain(certificate, key, password=_no_password)
        except (OSError, ValueError) as error:  # `ssl.SSLError` is an `OSError`
            reason = getattr(error, "reason", None) or error.args[-1] or "they cannot be read"
            text = f"the certificate {certificate} with the key {key} cannot be used: {reason}"
            finding = {
                "code": "settings.tls",
                "message": f"server.tls: {text}",
                "hint": "name PEM files that the daemon may read, the key that of the certificate",
            }
            raise SettingsError(
                finding["message"], code="settings.tls", findings=[finding]
            ) from error
        return context

    def use(self, context: ssl.SSLContext) -> None:
        """Uses what `read` returned for every connection that begins from now on."""
        self._current = context

    def _choose(self, tls: ssl.SSLObject, _name: str | None, _first: ssl.SSLContext) -> None:
        tls.context = self._current


def _no_password() -> str:
    raise ValueError("the key has a password")
