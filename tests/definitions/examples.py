"""The files beside this module, flows and `_defaults.yaml`: good ones, and bad ones.

A bad file says what is wrong with it. It begins with a comment for each finding, in order, with
the hint below where it is the point: `# expect: FR201 3:1 unknown key 'descripton'`, `#   hint: did
you mean 'description'?`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from flowrunner.definitions.yaml_reader import YamlError, read_yaml
from flowrunner.model.finding import Finding
from flowrunner.model.ids import Json

FOLDER = Path(__file__).parent
GOOD = tuple(sorted((FOLDER / "good").glob("*.yaml")))
BAD = tuple(sorted((FOLDER / "bad").glob("*.yaml")))
GOOD_DEFAULTS = tuple(sorted((FOLDER / "good-defaults").glob("*.yaml")))
BAD_DEFAULTS = tuple(sorted((FOLDER / "bad-defaults").glob("*.yaml")))

_EXPECT = re.compile(r"# expect: (FR[0-9]{3}) ([0-9]+):([0-9]+) (.+)")
_HINT = re.compile(r"#   hint: (.+)")


@dataclass(frozen=True, slots=True)
class Expected:
    """A finding as a bad file announces it; a hint of None is not compared."""

    code: str
    line: int
    column: int
    message: str
    hint: str | None = None

    def seen_in(self, finding: Finding) -> Expected:
        """Returns what is to be compared of a finding."""
        return Expected(
            finding.code,
            finding.line,
            finding.column,
            finding.message,
            None if self.hint is None else finding.hint,
        )


def expected_of(path: Path) -> list[Expected]:
    """Returns the findings that a bad file announces."""
    found: list[Expected] = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        if match := _EXPECT.fullmatch(line):
            found.append(Expected(match[1], int(match[2]), int(match[3]), match[4]))
        elif match := _HINT.fullmatch(line):
            last = found[-1]
            found[-1] = Expected(last.code, last.line, last.column, last.message, match[1])
        else:
            break
    return found


def data_of(path: Path) -> Json:
    """Returns the data of a file, or None when it is not YAML."""
    try:
        return read_yaml(path.read_bytes(), file=path.name).data
    except YamlError:
        return None
