"""Starting without the source: the last good definitions are put in force and armed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from flowrunner.errors import FlowError
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import Digest, FlowKey, Json
from flowrunner.reconcile.conditions import flow_conditions
from flowrunner.reconcile.history import NO_HISTORY, KeepsHistory
from flowrunner.registry.entry import FlowEntry
from flowrunner.registry.registry import FlowRegistry
from flowrunner.storage.flow_store import FlowRecord
from flowrunner.system.clock import Clock

_LOG = logging.getLogger(__name__)


class Restorer(Protocol):
    """Makes flows of records; see `Compiler.restore`."""

    def restore(
        self, key: FlowKey, digest: Digest, definition: Mapping[str, Json]
    ) -> tuple[FlowSpec, Mapping[str, Json]]:
        """Returns the spec, and the definition to keep with it."""

    def content_of(self, digest: Digest) -> str:
        """Returns the content of the file that the flow came from, if it had no findings."""


def load_last_good(
    records: Iterable[FlowRecord],
    restorer: Restorer,
    registry: FlowRegistry,
    clock: Clock,
    history: KeepsHistory = NO_HISTORY,
) -> int:
    """Puts the last good definitions in force at start, before the source is read.

    Returns how many there were. One that does not compile any more (a node type is gone, another
    version of the format) is left out and logged; its file will say why. Conditions are as an
    earlier life has told them, until `Applier.arm` works them out.
    """
    entries: dict[FlowKey, FlowEntry] = {}
    now = clock.now()
    for record in records:
        try:
            spec, definition = restorer.restore(record.key, record.digest, record.definition)
        except (
            FlowError,
            ArithmeticError,
            AttributeError,
            LookupError,
            TypeError,
            ValueError,
        ) as e:
            # Nothing has checked it since it was written, maybe by another version.
            _LOG.warning("registry.not_restored flow=%s: %s: %s", record.key, type(e).__name__, e)
            continue
        recorded = history.recorded(record.key)
        entry = FlowEntry(
            key=record.key,
            path=record.path,
            spec=spec,
            definition=definition,
            revision=record.revision,
            content=restorer.content_of(record.digest),
            generation=record.generation,
            observed_generation=record.generation,
            conditions=recorded,
        )
        if not recorded:
            pause, labels = registry.pause_of(record.key), registry.lacking_labels(spec)
            entry = replace(entry, conditions=flow_conditions(entry, pause, now, labels))
        entries[record.key] = entry
    registry.replace(entries)
    return len(entries)
