"""`make fuzz`: looks for inputs that break a promise, led by which lines they reach.

Usage: python tests/fuzz/run.py TARGET SECONDS CORPUS

`CORPUS` keeps the inputs that reached something new, for the next time. An input that breaks a
promise is written into a file `crash-…`; keep it in `tests/unit/triggers/test_fuzz_targets.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["flowrunner"]):
    from tests.fuzz.targets import TARGETS

from tests.fuzz.seeds import SEEDS


def main() -> None:
    """Fuzzes one target for some seconds, and ends with 0 when nothing was found."""
    name, seconds, corpus = sys.argv[1:]
    folder = Path(corpus) / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[name]):
        (folder / f"seed-{number}").write_bytes(seed)
    options = [f"-max_total_time={seconds}", "-print_final_stats=1", "-verbosity=0", "-max_len=512"]
    atheris.Setup([sys.argv[0], *options, str(folder)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
