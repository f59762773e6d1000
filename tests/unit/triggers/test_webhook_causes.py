"""Promises of `flowrunner.triggers.webhooks`: what the daemon's log learns of a 401."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from flowrunner.model.delivery import Delivery, Unproven
from tests.fakes.definitions import flow_text, hook
from tests.unit.triggers.world import World, simulate

PATH = "default/a/push"


def delivery(**changes: Any) -> Delivery:
    """An unsigned delivery to the hook of the flow `a`."""
    facts = {"path": PATH, "method": "POST", "headers": {}, "query": {}, "body": b"{}"}
    return Delivery(**{**facts, **changes})


@pytest.mark.parametrize(
    ("change", "secret", "cause"),
    [
        pytest.param({"path": "default/b/push"}, "s", Unproven.NO_HOOK, id="unknown-path"),
        pytest.param({"path": "default/b/push"}, "", Unproven.NO_HOOK, id="and-no-secret"),
        pytest.param({"method": "PUT"}, "s", Unproven.METHOD, id="wrong-method"),
        pytest.param({"method": "PUT"}, "", Unproven.METHOD, id="wrong-method-and-no-secret"),
        pytest.param({}, "s", Unproven.SIGNATURE, id="unsigned"),
        pytest.param(
            {"headers": {"x-hub-signature-256": "sha256=" + "0" * 64}},
            "s",
            Unproven.SIGNATURE,
            id="wrongly-signed",
        ),
        pytest.param({}, "", Unproven.SECRET_MISSING, id="no-secret"),
    ],
)
def test_cause_of_a_401_is_told(change: Mapping[str, Any], secret: str, cause: Unproven) -> None:
    """The answer names for the log the first thing that is wrong with a delivery."""

    async def story(world: World) -> None:
        if secret:
            world.secrets.texts["HOOK"] = secret
        await world.apply(flow_text("a", triggers=[{**hook("a/push", "HOOK"), "id": "push"}]))
        answer = await world.webhooks.deliver(delivery(**change))
        assert (answer.status, answer.cause) == (401, cause)

    simulate(story)
