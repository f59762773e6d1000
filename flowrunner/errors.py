"""The one tree of errors: a class per decision a caller makes, a code per thing to look up.

Errors are translated at three borders only: a storage backend raises `StorageError`, the web
layer turns an error into a status and an RFC 9457 problem, the command line into an exit code.
Findings about flow files are values (`flowrunner.model.finding`), collected, not raised one by
one; `ValidationError` carries all of them at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

MESSAGE_LIMIT = 2_000
"""Longest message in characters: text from outside is cut, never copied without a bound."""


class FlowError(Exception):
    """Base of every error of FlowRunner.

    Attributes:
        code: Stable, documented identifier such as ``settings.unknown_key``.
        message: One sentence for a person, without secrets, at most `MESSAGE_LIMIT` characters.
        details: JSON-safe facts for a machine, bounded, without secrets.
    """

    default_code: ClassVar[str] = "internal"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        self.code = code or self.default_code
        self.message = message if len(message) <= MESSAGE_LIMIT else message[:MESSAGE_LIMIT] + "…"
        self.details: Mapping[str, Any] = dict(details or {})
        super().__init__(self.message)


class ValidationError(FlowError):
    """What a person wrote does not fit: settings, a flow, inputs, a request.

    Attributes:
        findings: All findings at once, each JSON-safe.
    """

    default_code = "validation"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        details: Mapping[str, Any] | None = None,
        findings: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(message, code=code, details=details)
        self.findings = tuple(findings)


class SettingsError(ValidationError):
    """The settings cannot be used; `serve` exits with 78, other commands with 4."""

    default_code = "settings"


class ExecutionError(FlowError):
    """A node or an execution cannot do what its flow asks.

    Attributes:
        final: True when another attempt could not help (command not found, bad output, `fail`).
        quotes_data: True when the message may hold inputs or outputs, as that of `fail` does;
            callers without the right to them do not see it. Data that an error of ours quotes
            belongs into the details instead.
    """

    default_code = "execution"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        details: Mapping[str, Any] | None = None,
        final: bool = False,
        quotes_data: bool = False,
    ) -> None:
        super().__init__(message, code=code, details=details)
        self.final = final
        self.quotes_data = quotes_data


class RefusedError(FlowError):
    """The daemon understands the request and will not do it now (conflict, draining, paused)."""

    default_code = "refused"


class NotFoundError(FlowError):
    """What the request names does not exist, or not for this caller."""

    default_code = "not_found"


class StorageError(FlowError):
    """The state cannot be read or written.

    Codes: ``storage.conflict``, ``storage.full``, ``storage.read_only``, ``storage.locked``,
    ``storage.newer``, ``storage.corrupt``, ``storage.no_backup``, ``storage.unavailable``.
    """

    default_code = "storage.unavailable"


class AuthError(FlowError):
    """The caller is not who it must be, or may not do this.

    Codes: ``auth.missing``, ``auth.invalid``, ``auth.scope``, ``auth.denied``.
    """

    default_code = "auth.invalid"
