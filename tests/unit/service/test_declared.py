"""The nodes of a pinned definition, which views ask for again and again."""

from __future__ import annotations

import asyncio

from flowrunner.model.ids import Digest
from flowrunner.service import declared
from flowrunner.service.declared import DeclaredNodes
from flowrunner.storage.memory import MemoryStorage

NODES = [{"id": "a", "run": "true"}, {"id": "b", "type": "noop"}]


def digest(number: int) -> Digest:
    return Digest(f"sha256:{number:064}")


def test_definition_is_read_once() -> None:
    """What a digest declares never changes, so a log that is followed costs one look."""

    async def main() -> None:
        storage = MemoryStorage()
        await storage.definitions.put(digest(1), {"nodes": NODES, "finally": [NODES[1]]})
        nodes = DeclaredNodes(storage.definitions)
        first = await nodes.of(digest(1))
        await storage.definitions.delete(digest(1))
        assert await nodes.of(digest(1)) is first
        assert [tuple(node) for node in first] == [
            ("a", "shell", False),
            ("b", "noop", False),
            ("b", "noop", False),
        ]

    asyncio.run(main())


def test_unknown_definition_is_looked_for_again() -> None:
    """One that was not there may have come: nothing is kept of it."""

    async def main() -> None:
        storage = MemoryStorage()
        nodes = DeclaredNodes(storage.definitions)
        assert await nodes.of(digest(1)) == ()
        await storage.definitions.put(digest(1), {"nodes": NODES})
        assert len(await nodes.of(digest(1))) == len(NODES)

    asyncio.run(main())


def test_memory_is_bounded() -> None:
    """The definitions that were asked for longest ago are forgotten."""

    async def main() -> None:
        storage = MemoryStorage()
        nodes = DeclaredNodes(storage.definitions)
        for number in range(declared.MOST_KEPT + 1):
            await storage.definitions.put(digest(number), {"nodes": NODES})
            await nodes.of(digest(number))
            await storage.definitions.delete(digest(number))
        assert await nodes.of(digest(0)) == ()
        assert await nodes.of(digest(1)) != ()

    asyncio.run(main())
