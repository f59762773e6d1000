"""Folders of one parent, made by a thread of their own while another fills those before them.

To make a folder takes the kernel longer than to fill it with a small file, and while it is in the
kernel a thread keeps no other one waiting: so thousands of both take about as long as the folders.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType

from flowrunner.system.durable import make_private_folders


class FoldersAhead(AbstractContextManager[None]):
    """Makes private folders in their order for as long as it is entered.

    Who needs one that is not there yet makes it; a name that cannot become a folder is left to him.

    Args:
        above: Their parent.
        names: Their names.
        keeps_owner_bits: See `flowrunner.system.durable`.
    """

    def __init__(self, above: Path, names: Sequence[str], *, keeps_owner_bits: bool) -> None:
        self._above = above
        self._names = names
        self._keeps_owner_bits = keeps_owner_bits
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._make, name="folders")

    def __enter__(self) -> None:
        """Begins; where there can be no more threads, nothing is made ahead."""
        with suppress(RuntimeError):
            self._thread.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends and waits for that."""
        self._is_over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _make(self) -> None:
        with suppress(OSError):  # who fills them meets the same, and has to say why
            make_private_folders(
                self._above,
                self._names,
                self._is_over.is_set,
                keeps_owner_bits=self._keeps_owner_bits,
            )
