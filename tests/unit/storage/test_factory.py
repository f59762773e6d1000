"""Backends by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowrunner.errors import SettingsError
from flowrunner.storage.factory import make_storage
from flowrunner.storage.local.storage import LocalStorage
from flowrunner.storage.memory import MemoryStorage
from tests.fakes.clock import FakeClock
from tests.fakes.files import FakeFiles


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param("local", LocalStorage, id="local"),
        pytest.param("memory", MemoryStorage, id="memory"),
    ],
)
def test_name_gives_its_backend_and_touches_nothing(name: str, kind: type) -> None:
    """Making a backend does no work; opening does."""
    files = FakeFiles()
    assert isinstance(
        make_storage(name, folder=Path("/state"), files=files, clock=FakeClock()), kind
    )
    assert files.calls == []


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        pytest.param("lokal", "did you mean 'local'?", id="near"),
        pytest.param("postgres", "use local or memory", id="far"),
    ],
)
def test_unknown_name_is_refused_with_a_hint(name: str, hint: str) -> None:
    """The message says what would have worked."""
    with pytest.raises(SettingsError) as caught:
        make_storage(name, folder=Path("/state"), files=FakeFiles(), clock=FakeClock())
    assert caught.value.code == "settings.unknown_backend"
    assert hint in caught.value.message
