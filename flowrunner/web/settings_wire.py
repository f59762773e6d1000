"""The shape of settings that were read again: a view in, JSON-safe values out."""

from __future__ import annotations

from flowrunner.model.ids import Json
from flowrunner.service.settings_desk import SettingsView


def settings_json(view: SettingsView) -> dict[str, Json]:
    """Returns the shape; findings are those of the loader, which quote no secret."""
    return {
        "result": view.result,
        "applied": list(view.applied),
        "need_restart": list(view.waiting),
        "findings": [dict(finding) for finding in view.findings],
    }
