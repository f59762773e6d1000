"""Where the command `flowrunner` and `python -m flowrunner` begin."""

from __future__ import annotations

import sys

from flowrunner.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
