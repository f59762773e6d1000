"""The shape of the daemon at a glance."""

from __future__ import annotations

from dataclasses import asdict

from flowrunner.model.ids import Json
from flowrunner.model.pause import Pause
from flowrunner.service.views import StatusView
from flowrunner.web.source_wire import commit_json, upstream_json
from flowrunner.web.wire import condition_json, health_json, source_json, time_text


def status_json(view: StatusView, *, redacted: bool) -> Json:
    """Returns it; `redacted` takes out of the repository what its operators alone may see."""
    return {
        "version": view.version,
        "started_at": time_text(view.started_at),
        "observes": view.is_observing,
        "schedules_paused": _pause(view.schedules_paused),
        "source": {
            **source_json(view.source),
            "commit": commit_json(view.commit, redacted=redacted),
            "git": upstream_json(view.source.upstream, redacted=redacted),
        },
        "flows": view.flows,
        "flows_ready": view.flows_ready,
        "executions_running": view.executions_running,
        "executions_queued": view.executions_queued,
        "conditions": [condition_json(condition) for condition in view.conditions],
        "accounts": [asdict(account) for account in view.accounts],
        **health_json(view.checks),
        "redacted": redacted,
    }


def _pause(pause: Pause | None) -> Json:
    """Returns who let no schedule start anything, why, since and until when."""
    return pause and {
        "at": time_text(pause.at),
        "reason": pause.reason,
        "uid": pause.uid,
        "until": time_text(pause.until),
    }
