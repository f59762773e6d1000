"""The order of the checks: a delivery of which all is wrong, mended from one answer to the next.

Source: FLOW_FORMAT, section 3, "Order". What comes before the hook, the rate of a source and the
global limit of a body, stands in `tests/unit/web/test_chain_network.py` and `test_body_room.py`.
"""

from __future__ import annotations

from typing import Any

from flowrunner.model.rates import parse_rate
from tests.unit.triggers.test_webhooks import PATH, Sender, flow, told

USED_UP = "1/1h"


def strict(rate: str, **top: Any) -> bytes:
    """A flow that takes next to nothing, one execution at a time."""
    waits = [{"id": "only", "type": "wait", "params": {"for": "1h"}}]
    whole = {
        "inputs": {"n": {"type": "integer"}},
        "concurrency": {"limit": 1, "on_conflict": "skip"},
        "nodes": waits,
        **top,
    }
    return flow(
        top=whole,
        rate_limit=rate,
        max_body="40B",
        schema={"type": "object", "required": ["ref"]},
        inputs={"n": "${{ trigger.body.n }}"},
        **{"if": "trigger.body.ref == 'main'"},
    )


def test_checks_are_made_in_the_order_of_the_flow_format() -> None:
    """Whatever else is wrong, the first of the checks that fails answers."""

    async def story(sender: Sender) -> None:
        world, large, text = sender.world, b"x" * 41, {"content_type": "text/plain"}

        async def answered(body: bytes, **more: Any) -> tuple[int, str]:
            answer = await sender.send(body, **more)
            return answer.status, answer.code or answer.result

        world.webhooks._rates.take(PATH, parse_rate(USED_UP))
        assert await answered(large, secret="wrong", **text) == (401, "auth.invalid")
        assert await answered(large, **text) == (503, "not_ready")
        await world.apply(strict(USED_UP))
        assert await answered(large, **text) == (429, "delivery.rate")
        await world.apply(strict("99/1h"))
        assert await answered(large, **text) == (413, "delivery.too_large")
        assert await answered(b"no json", **text) == (415, "delivery.content_type")
        assert await answered(b"no json") == (422, "delivery.json")
        assert await answered(b'{"n": "x"}') == (422, "delivery.schema")
        assert await answered(b'{"ref": "topic", "n": "x"}') == (200, "ignored")
        assert await answered(b'{"ref": "main", "n": "x"}') == (422, "input.invalid")
        assert await world.executions() == []
        assert await answered(b'{"ref": "main", "n": 1}') == (202, "accepted")
        assert await answered(b'{"ref": "main", "n": 1}') == (200, "duplicate")
        assert await answered(b'{"ref": "main", "n": 2}') == (200, "skipped")
        assert len(await world.executions()) == 1

    told(story, strict(USED_UP, secrets=["KEY"]))
