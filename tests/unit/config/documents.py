"""A settings file as the strict reader would give it, made from plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowrunner.config.loader import LoadedSettings, load_settings

FOLDER = Path("/work folder")


@dataclass(frozen=True)
class Place:
    line: int
    column: int


@dataclass(frozen=True)
class WrittenDocument:
    """Each part stands on the line of its depth, a key in column 1 and a value in column 20."""

    data: Any

    def position(self, path: tuple[str | int, ...], *, key: bool = False) -> Place:
        return Place(len(path), 1 if key else 20)


@dataclass(frozen=True)
class Reader:
    """Meets `ReadYaml`: whatever the bytes are, the file holds `data`."""

    data: Any

    def __call__(self, data: bytes, *, file: str) -> WrittenDocument:
        return WrittenDocument(self.data)


def load(
    data: Any = None,
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, str | None] | None = None,
) -> LoadedSettings:
    """Loads settings in `FOLDER`; a file must exist, `data` is what it says."""
    return load_settings(
        file=file,
        environment=environment or {},
        flags=flags or {},
        folder=FOLDER,
        read_yaml=Reader(data),
    )
