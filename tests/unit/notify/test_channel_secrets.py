"""A slip in the name of a secret is seen before something has to be told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

import pytest

from flowrunner.notify.channel_secrets import PERIOD_S, ChannelSecrets, Wanted
from tests.fakes.definitions import FakeSecrets
from tests.fakes.inline_threads import run_inline

Lacks = Mapping[str, tuple[str, ...]]


class Health:
    """Keeps what each look has found."""

    def __init__(self) -> None:
        self.looks: list[Lacks] = []

    def lack(self, found: Lacks) -> None:
        self.looks.append(dict(found))


def test_channels_that_lack_a_secret_are_found(caplog: pytest.LogCaptureFixture) -> None:
    """At once, then each minute, and when the settings have changed; told once in the log."""
    secrets, health = FakeSecrets({"URL": "https://x"}), Health()
    wanted = {
        "chat": Wanted("default", ("URL",)),
        "hook": Wanted("default", ("URL", "KEY")),
        "pay/chat": Wanted("pay", ("URL",)),
        "script": Wanted("default", ()),
    }

    async def story() -> None:
        looks = ChannelSecrets(secrets, health, asyncio.to_thread, wanted)
        running = asyncio.create_task(looks.run())
        await asyncio.sleep(PERIOD_S * 1.5)
        assert health.looks == [{"hook": ("KEY",), "pay/chat": ("URL",)}] * 2
        secrets.texts["KEY"] = "a2V5"
        await asyncio.sleep(PERIOD_S)
        assert health.looks[2:] == [{"pay/chat": ("URL",)}]
        looks.follow({"mail": Wanted("default", ("PASSWORD",))})
        await asyncio.sleep(1)
        assert health.looks[3:] == [{"mail": ("PASSWORD",)}]
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    run_inline(story())
    assert caplog.messages == [
        "notify.secret_missing channel=hook secret=KEY",
        "notify.secret_missing channel=pay/chat secret=URL",
        "notify.secret_missing channel=mail secret=PASSWORD",
    ]
