"""The cache of `validate` saves time and changes nothing else."""

from __future__ import annotations

import os
import shutil
from datetime import date
from pathlib import Path

import pytest

from flowrunner.config.settings import Settings
from flowrunner.daemon import validate_cache
from flowrunner.daemon.offline import Report, validate
from flowrunner.daemon.validate_cache import GenerationStore, generation_of
from flowrunner.definitions.compiler import Compiler
from flowrunner.system.private_folder import PrivateFolder
from tests.definitions.examples import FOLDER, GOOD

MARCH = date(2026, 3, 30)
HOOK = """\
version: 1
name: {name}
triggers: [{{type: webhook, path: taken, auth: {{type: github, secret: HOOK}}}}]
nodes: [{{id: a, type: noop}}]
"""


def cached(folder: Path, *paths: Path) -> Report:
    """Validates with the cache in a folder."""
    return validate([str(p) for p in paths], environment={"HOME": str(folder)}, use_cache=True)


def store(folder: Path) -> Path:
    """Returns the one file of the cache."""
    (file,) = (folder / ".cache/flowrunner").iterdir()
    return file


@pytest.fixture
def flows(tmp_path: Path) -> Path:
    """Returns a folder with all good and bad files, and two that claim what others have."""
    folder = tmp_path / "flows"
    shutil.copytree(FOLDER / "good", folder / "good")
    shutil.copytree(FOLDER / "bad", folder / "bad")
    shutil.copy(FOLDER / "good/minimal.yaml", folder / "again.yaml")
    for name in ("one", "two"):
        (folder / f"{name}.yaml").write_text(HOOK.format(name=name))
    return folder


@pytest.fixture
def no_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes it an error to compile anything."""

    def refuse(*_given: object, **_named: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Compiler, "read", refuse)


def test_findings_are_the_same_with_and_without(flows: Path, tmp_path: Path) -> None:
    """Over all good and bad files: nothing cached, all cached and no cache say the same."""
    plain = validate([str(flows)])
    assert plain.flows
    assert {"FR310", "FR311"} <= {finding.code for finding in plain.findings}
    assert cached(tmp_path, flows) == plain
    assert cached(tmp_path, flows) == plain


@pytest.mark.usefixtures("no_compiling")
def test_nothing_compiles_without_the_compiler(flows: Path, tmp_path: Path) -> None:
    """The next test would notice a file that is compiled."""
    with pytest.raises(AssertionError):
        cached(tmp_path, flows)


def test_known_files_are_not_compiled(
    flows: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A second run takes everything from the cache, also under other names and with the host."""
    first = cached(tmp_path, flows)
    request.getfixturevalue("no_compiling")
    assert cached(tmp_path, flows) == first
    moved = flows.rename(flows.with_name("elsewhere"))
    again = cached(tmp_path, moved)
    assert again.flows == first.flows
    assert all(finding.file.startswith(f"{moved}/") for finding in again.findings)
    report = validate(
        [str(moved)], settings=Settings(), environment={"HOME": str(tmp_path)}, use_cache=True
    )
    assert set(again.findings) < set(report.findings)


def test_changed_file_is_compiled(tmp_path: Path) -> None:
    """What counts is the content, whatever its time stamp says."""
    flows = tmp_path / "flows"
    flows.mkdir()
    file = flows / "a.yaml"
    file.write_text(HOOK.format(name="a"))
    facts = file.stat()
    assert cached(tmp_path, flows).findings == ()
    file.write_text(HOOK.format(name="a").replace("version: 1", "version: 2"))
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert [finding.code for finding in cached(tmp_path, flows).findings] == ["FR205"]


DEFAULTS = (
    "",
    "labels: {team: a}\n",
    "env: {A: '${HOME}', B: \"${{ inputs.day }}\"}\n",
    "env: {A: [1]}\n",
    "a: [\n",
    "defaults: {timeout: 0s}\n",
)


@pytest.mark.parametrize("text", DEFAULTS)
def test_defaults_above_are_seen_through_the_cache(flows: Path, tmp_path: Path, text: str) -> None:
    """Whatever stands above, and wherever it moves, the cache does not change what is said."""
    cached(tmp_path, flows)
    for folder in (flows, flows / "good", flows / "bad"):
        (folder / "_defaults.yaml").write_text(text)
        plain = validate([str(flows)])
        assert cached(tmp_path, flows) == plain
        assert cached(tmp_path, flows) == plain
        assert cached(tmp_path, flows / "good") == validate([str(flows / "good")])


@pytest.mark.parametrize("cut", [0, 1, 64, 65, 1000, -1])
def test_damaged_cache_is_built_anew(flows: Path, tmp_path: Path, cut: int) -> None:
    """A cache that lost its end says nothing, and is whole again after the run."""
    first = cached(tmp_path, flows)
    whole = store(tmp_path).read_bytes()
    store(tmp_path).write_bytes(whole[:cut])
    assert cached(tmp_path, flows) == first
    assert sorted(store(tmp_path).read_bytes().split(b"\n")) == sorted(whole.split(b"\n"))


def test_flipped_bit_is_noticed(flows: Path, tmp_path: Path) -> None:
    """A changed byte anywhere in the cache never reaches the findings."""
    first = cached(tmp_path, flows)
    data = bytearray(store(tmp_path).read_bytes())
    for place in range(0, len(data), len(data) // 7):
        broken = data.copy()
        broken[place] ^= 1
        store(tmp_path).write_bytes(broken)
        assert cached(tmp_path, flows) == first


def test_cache_is_this_users_alone(flows: Path, tmp_path: Path) -> None:
    """Folder and file are closed to others; one that others may write to is not believed."""
    first = cached(tmp_path, flows)
    folder = store(tmp_path).parent
    assert (folder.stat().st_mode & 0o777, store(tmp_path).stat().st_mode & 0o777) == (0o700, 0o600)
    planted = store(tmp_path)
    planted.write_bytes(b"")
    folder.chmod(0o777)
    assert cached(tmp_path, flows) == first
    assert planted.read_bytes() == b""


def test_no_cache_can_be_written(flows: Path, tmp_path: Path) -> None:
    """Where the folder cannot be made the check goes on without it, in silence."""
    (tmp_path / ".cache").write_text("in the way")
    assert cached(tmp_path, flows) == validate([str(flows)])


def test_nothing_is_kept_unless_asked_for(flows: Path, tmp_path: Path) -> None:
    """Without the cache, and for a few files, no folder is made."""
    validate([str(flows)], environment={"HOME": str(tmp_path)})
    cached(tmp_path, GOOD[0], GOOD[1])
    assert not (tmp_path / ".cache").exists()


def test_environment_says_where(flows: Path, tmp_path: Path) -> None:
    """`XDG_CACHE_HOME` comes before the home; a relative one does not count."""
    environment = {"XDG_CACHE_HOME": str(tmp_path / "x"), "HOME": str(tmp_path / "h")}
    validate([str(flows)], environment=environment, use_cache=True)
    validate([str(flows)], environment={"XDG_CACHE_HOME": "cache"}, use_cache=True)
    assert (tmp_path / "x/flowrunner").is_dir()
    assert not (tmp_path / "h").exists()
    assert not Path("cache").exists()


def test_generation_ends_with_the_schema_and_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another schema, an edited source file or a new month means another generation."""
    before = generation_of({"a": 1}, MARCH)
    assert generation_of({"a": 1}, MARCH.replace(day=2)) == before
    assert generation_of({"a": 2}, MARCH) != before
    assert generation_of({"a": 1}, MARCH.replace(month=4)) != before
    package = tmp_path / "package"
    (package / "sub").mkdir(parents=True)
    source = package / "sub/code.py"
    source.write_text("1")
    monkeypatch.setattr(validate_cache, "package_file", str(package / "__init__.py"))
    first = generation_of({}, MARCH)
    source.write_text("22")
    assert generation_of({}, MARCH) != first


def test_only_some_generations_are_kept(tmp_path: Path) -> None:
    """However often the code changes, the folder holds three files."""
    folder = PrivateFolder(tmp_path / "cache")
    for number in range(5):
        GenerationStore(folder, str(number)).save(b"x")
        os.utime(tmp_path / f"cache/validate-{number}.txt", (number, number))
    GenerationStore(folder, "5").save(b"x")
    kept = {file.name for file in (tmp_path / "cache").iterdir()}
    assert kept == {"validate-3.txt", "validate-4.txt", "validate-5.txt"}
