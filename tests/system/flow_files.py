"""Flow files for tests, put into place whole, as an editor or git does it."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

EVERY_SECOND = "triggers: [{type: schedule, every: 1s}]\n"
NOTHING = "nodes: [{id: nothing, type: noop}]\n"


def flow_text(name: str, *parts: str) -> str:
    """Returns a flow file: its head and the given top-level parts."""
    return f"version: 1\nname: {name}\n" + "".join(parts)


def write_flow(folder: Path, name: str, *parts: str) -> Path:
    """Puts a flow into the file of its name."""
    return replace_file(folder / f"{name}.yaml", flow_text(name, *parts))


def replace_file(path: Path, text: str) -> Path:
    """Replaces a file by rename, so that nobody reads half of it."""
    staged = path.with_name(f".{path.name}.new")
    staged.write_text(text, encoding="utf-8")
    staged.replace(path)
    return path


def says(word: str) -> str:
    """Returns the nodes of a flow whose node `say` has the output `word`."""
    return f"nodes: [{{id: say, type: set, params: {{values: {{word: {word}}}}}}}]\n"


def runs(script: str, **keys: str) -> str:
    """Returns the nodes of a flow whose one node `work` runs a script; keys are YAML texts."""
    body = "".join(f"      {line}\n" for line in dedent(script).strip().splitlines())
    extra = "".join(f"    {key}: {value}\n" for key, value in keys.items())
    return f"nodes:\n  - id: work\n{extra}    run: |\n{body}"
