"""Promises of `flowrunner.reconcile.scan`: one consistent reading, and nothing read in vain."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flowrunner.model.conditions import ConditionReason
from flowrunner.model.ids import Revision
from flowrunner.reconcile.scan import FILE_LIMIT, Scanner, Snapshot, UnstableSourceError
from flowrunner.reconcile.tree import FolderTrees
from flowrunner.system.files import ChangedWhileReadError, FileKind, LocalFiles, Walk, WalkEntry
from flowrunner.system.walk import FileStat
from tests.fakes.clock import FakeClock
from tests.fakes.definitions import COMPILER, flow_text
from tests.fakes.files import FakeFiles
from tests.fakes.trees import FakeTrees
from tests.unit.reconcile.compilers import CountingCompiler

ROOT = Path("/flows")
LONG_AGO_S = 1_000_000_000
TEN_MIB = 10 * 1024 * 1024


@dataclass
class Revisions:
    """Answers one revision after the other, the last one for ever; may act in between."""

    answers: list[str] = field(default_factory=lambda: [""])
    before_answer: Callable[[int], None] = lambda _: None
    asked: list[Path] = field(default_factory=list)

    def read(self, root: Path) -> Revision:
        self.asked.append(root)
        self.before_answer(len(self.asked))
        return Revision(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])


class OddFiles(FakeFiles):
    """Files whose walks end in an odd way; remembers the bounds of each."""

    def __init__(
        self,
        *,
        truncated: bool = False,
        changed: bool = False,
        entries: tuple[WalkEntry, ...] | None = None,
    ) -> None:
        super().__init__()
        self._entries = entries
        self.bounds: list[tuple[int, int]] = []
        self._truncated, self._changed = truncated, changed
        self.make_folder(ROOT)

    def walk(self, root: Path, *, depth: int, most: int) -> Walk:
        self.bounds.append((depth, most))
        found = super().walk(root, depth=depth, most=most)
        entries = found.entries if self._entries is None else self._entries
        return replace(found, entries=entries, truncated=self._truncated, changed=self._changed)


class World:
    """A source in memory and its scanner."""

    def __init__(self) -> None:
        self.files = FakeFiles()
        self.files.make_folder(ROOT)
        self.clock = FakeClock()
        self.compiler = CountingCompiler(self.clock)
        self.revisions = Revisions()
        self.scanner = Scanner(
            self.files, self.compiler, FakeTrees(self.files, self.revisions), self.clock
        )

    def put(self, name: str, data: bytes | None = None) -> None:
        """Writes a file below the root: by default a valid flow with the name of the file."""
        stem = Path(name).stem
        self.files.write(ROOT / name, flow_text(stem) if data is None else data)

    def scan(self) -> Snapshot:
        return self.scanner.scan(ROOT)

    def names(self) -> list[str]:
        return [file.candidate.file for file in self.scan().files]

    def reads(self) -> list[str]:
        """Returns the flow files read since the last call."""
        read = [path.name for call, path in self.files.calls if call == "read"]
        self.files.calls.clear()
        return [name for name in read if not name.startswith(".")]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A real folder, reached by its real path."""
    return tmp_path.resolve()


def local_scanner(clock: FakeClock | None = None) -> Scanner:
    """A scanner over real files; its clock is far after every time stamp by default."""
    late = FakeClock(datetime(2100, 1, 1, tzinfo=UTC))
    return Scanner(LocalFiles(), COMPILER, FolderTrees(LocalFiles()), clock or late)


class CountedReads(LocalFiles):
    """Knows what was read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[Path] = []

    def read(self, path: Path, *, limit: int) -> bytes:
        self.reads.append(path)
        return super().read(path, limit=limit)


def write_old(path: Path, data: bytes) -> None:
    """Writes in place, under a time stamp of long ago."""
    with path.open("wb") as file:
        file.write(data)
    os.utime(path, (LONG_AGO_S, LONG_AGO_S))


def codes(found: Snapshot) -> dict[str, list[str]]:
    return {
        file.candidate.file: [finding.code for finding in file.candidate.findings]
        for file in found.files
    }


# What is looked at


def test_finds_flow_files_at_any_depth_in_order_of_their_paths(world: World) -> None:
    """A scan returns every considered file, by its path below the root, sorted."""
    for name in ("b.yaml", "team/a.yml", "a.yaml", "notes.txt", ".hidden.yaml", "a.test.yaml"):
        world.put(name)
    assert world.names() == ["a.yaml", "b.yaml", "team/a.yml"]


def test_ignore_file_leaves_names_out(world: World) -> None:
    """What `.flowrunnerignore` names is neither read nor compiled."""
    world.put(".flowrunnerignore", b"# not ours\nvendor/\nold-*.yaml\n")
    for name in ("a.yaml", "vendor/b.yaml", "old-c.yaml"):
        world.put(name)
    assert world.names() == ["a.yaml"]
    assert world.reads() == ["a.yaml"]


def test_ignore_file_that_cannot_be_read_fails_the_scan(world: World) -> None:
    """What an unreadable ignore file leaves out must not come into force."""
    world.put("secret.yaml")
    world.put(".flowrunnerignore", b"secret.yaml\n")
    world.files.fail("read", ".flowrunnerignore", PermissionError(errno.EACCES, "denied"))
    with pytest.raises(PermissionError):
        world.scan()


def test_ignore_file_that_changes_repeats_the_scan(world: World) -> None:
    """An ignore file caught half-way makes the source unstable, not empty of patterns."""
    world.put(".flowrunnerignore", b"a.yaml\n")
    world.files.fail("read", ".flowrunnerignore", ChangedWhileReadError("changed"))
    with pytest.raises(UnstableSourceError):
        world.scan()


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        pytest.param(FILE_LIMIT, ["FR101"], id="one-mebibyte-is-read"),
        pytest.param(FILE_LIMIT + 1, ["FR106"], id="one-byte-more-is-not"),
        pytest.param(TEN_MIB, ["FR106"], id="ten-mebibytes-are-not"),
    ],
)
def test_size_is_bounded(folder: Path, size: int, expected: list[str]) -> None:
    """A file of more than 1 MiB is a finding; it is not read to its end."""
    (folder / "big.yaml").write_bytes(b"[" + b" " * (size - 1))
    assert codes(local_scanner().scan(folder)) == {"big.yaml": expected}


def test_pipe_is_a_finding_and_stops_nobody(folder: Path) -> None:
    """A FIFO with the name of a flow is reported and never waited for."""
    os.mkfifo(folder / "pipe.yaml")
    (folder / "good.yaml").write_bytes(flow_text("good"))
    assert codes(local_scanner().scan(folder)) == {"good.yaml": [], "pipe.yaml": ["FR110"]}


def test_unreadable_file_is_a_finding(world: World) -> None:
    """A file without permission is reported; the others are read."""
    world.put("a.yaml")
    world.put("b.yaml")
    world.files.fail("read", "/a.yaml", PermissionError(errno.EACCES, "Permission denied"))
    found = world.scan()
    assert codes(found) == {"a.yaml": ["FR110"], "b.yaml": []}
    assert "Permission denied" in found.files[0].candidate.findings[0].message


def test_link_that_leaves_the_root_is_a_finding_and_not_read(folder: Path) -> None:
    """Nothing outside the root is read through a link, to a file or to a folder."""
    outside, root = folder / "outside", folder / "root"
    outside.mkdir()
    root.mkdir()
    (outside / "a.yaml").write_bytes(flow_text("stolen"))
    (root / "link.yaml").symlink_to(outside / "a.yaml")
    (root / "folder").symlink_to(outside)
    (root / "up.yaml").symlink_to("../outside/a.yaml")
    assert codes(local_scanner().scan(root)) == {"link.yaml": ["FR111"], "up.yaml": ["FR111"]}


def test_link_to_a_folder_outside_is_told_once(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Flows behind it would be looked for in vain; ignored and hidden ones are meant so."""
    outside, root = folder / "outside", folder / "root"
    outside.mkdir()
    root.mkdir()
    (root / ".flowrunnerignore").write_text("ignored\n")
    for name in ("team", ".hidden", "_aside", "ignored", "link.yaml"):
        (root / name).symlink_to(outside)
    (root / "inside").symlink_to(root)
    caplog.set_level(logging.INFO)
    scanner = local_scanner()
    scanner.scan(root)
    scanner.scan(root)
    assert [record.getMessage() for record in caplog.records] == [
        "source.links_not_followed: outside of the flows: 'link.yaml', 'team'"
    ]
    (root / "other").symlink_to(outside)
    scanner.scan(root)
    assert caplog.records[-1].getMessage().endswith("outside of the flows: 'other'")


def test_link_within_the_root_is_followed(folder: Path) -> None:
    """A link to a file below the root is a flow file under its own name."""
    (folder / "_shared").mkdir()
    (folder / "_shared" / "a.yaml").write_bytes(flow_text("shared"))
    (folder / "link.yaml").symlink_to("_shared/a.yaml")
    (found,) = local_scanner().scan(folder).files
    assert (found.candidate.file, found.candidate.name) == ("link.yaml", "shared")


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("missing.yaml", id="to-nothing"),
        pytest.param("loop.yaml", id="to-itself"),
    ],
)
def test_link_that_leads_nowhere_is_a_finding(folder: Path, target: str) -> None:
    """A link to nothing is one bad file, not a source that never holds still."""
    (folder / "loop.yaml").symlink_to(target)
    (folder / "good.yaml").write_bytes(flow_text("good"))
    assert codes(local_scanner().scan(folder)) == {"good.yaml": [], "loop.yaml": ["FR110"]}


def test_depth_is_bounded(folder: Path) -> None:
    """Folders deeper than 16 levels make the whole source unusable, and say where they are."""
    deep = folder.joinpath(*("d" for _ in range(16)))
    deep.mkdir(parents=True)
    (folder / "shallow").mkdir()
    (folder / "a.yaml").write_bytes(flow_text("a"))
    problem = local_scanner().scan(folder).problem
    assert problem is not None
    assert problem.reason is ConditionReason.SOURCE_TOO_LARGE
    assert problem.message == f"deeper than 16 folders, at '{'d/' * 15}d'"


def test_number_of_names_is_bounded() -> None:
    """More names than 50,000 make the whole source unusable, and say so."""
    files = OddFiles(truncated=True)
    problem = Scanner(files, COMPILER, FolderTrees(files), FakeClock()).scan(ROOT).problem
    assert problem is not None
    assert problem.reason is ConditionReason.SOURCE_TOO_LARGE
    assert (16, 50_000) in files.bounds


def test_folder_with_most_of_too_many_names_is_named() -> None:
    """Whoever reads it learns what to move elsewhere."""
    facts = FileStat(FileKind.FILE, 1, 1, 1, 1)
    names = ("a.txt", *(f"modules/{number}.js" for number in range(49_999)))
    files = OddFiles(truncated=True, entries=tuple(WalkEntry(name, facts) for name in names))
    problem = Scanner(files, COMPILER, FolderTrees(files), FakeClock()).scan(ROOT).problem
    assert problem is not None
    assert problem.message == "more than 50000 names, 49999 of them from 'modules' down"


def test_folder_without_access_makes_the_source_unusable(world: World) -> None:
    """A folder that cannot be listed may hold flows: nothing may be taken for deleted."""
    world.put("a.yaml")
    world.put("team/b.yaml")
    world.files.fail("list", "/team", PermissionError(errno.EACCES, "denied"))
    problem = world.scan().problem
    assert problem is not None
    assert problem.reason is ConditionReason.SOURCE_UNREADABLE
    assert "'team'" in problem.message


def test_whole_source_has_no_problem(world: World) -> None:
    """A source that was read to its end, empty or not, is usable."""
    assert world.scan().problem is None
    world.put("a.yaml")
    assert world.scan().problem is None


@pytest.mark.parametrize(
    ("prepare", "error"),
    [
        pytest.param(lambda _: None, FileNotFoundError, id="missing"),
        pytest.param(lambda path: path.write_bytes(b""), NotADirectoryError, id="a-file"),
        pytest.param(lambda path: path.symlink_to(path), OSError, id="a-link-to-itself"),
    ],
)
def test_root_that_is_no_folder_fails(
    folder: Path, prepare: Callable[[Path], None], error: type[OSError]
) -> None:
    """Without a folder there is no snapshot, not an empty one."""
    root = folder / "root"
    prepare(root)
    with pytest.raises(error):
        local_scanner().scan(root)


# What is read again


def test_unchanged_file_is_not_read_again(world: World) -> None:
    """A file whose stat is the same is neither read nor compiled in the next scan."""
    world.put("a.yaml")
    first = world.scan()
    assert world.reads() == ["a.yaml"]
    second = world.scan()
    assert world.reads() == []
    assert second.files[0] is first.files[0]


def test_changed_file_alone_is_read(world: World) -> None:
    """An edit costs the reading of one file."""
    for name in ("a.yaml", "b.yaml", "c.yaml"):
        world.put(name)
    world.scan()
    world.reads()
    world.put("b.yaml", flow_text("b", description="new"))
    world.scan()
    assert world.reads() == ["b.yaml"]


def test_touched_file_is_read_but_not_compiled(world: World) -> None:
    """The same content under a new time stamp keeps what was compiled."""
    world.put("a.yaml")
    first = world.scan()
    world.put("a.yaml")
    second = world.scan()
    assert world.compiler.compiled == ["a.yaml"]
    assert second.files[0] is first.files[0]


def test_file_whose_findings_name_dates_is_compiled_again_in_another_month(world: World) -> None:
    """What depends on the calendar is looked at anew once a month, and nothing else is."""
    cron = {"type": "schedule", "cron": "30 2 * * *", "timezone": "Europe/Berlin"}
    world.put("a.yaml", flow_text("a", triggers=[cron]))
    world.put("b.yaml")
    before = world.scan().files
    world.compiler.compiled.clear()
    world.clock.advance(29 * 86_400)
    assert world.scan().files == before
    assert world.compiler.compiled == []
    world.clock.advance(3 * 86_400)
    after = world.scan().files
    assert world.compiler.compiled == ["a.yaml"]
    assert "2027-03-28" in str(before[0].candidate.findings)
    assert "2027-03-28" not in str(after[0].candidate.findings)
    assert after[1] is before[1]


def test_renamed_file_is_compiled_under_its_new_name(world: World) -> None:
    """Findings and paths speak of the file as it is named now."""
    world.put("a.yaml", flow_text("x", typo=1))
    world.scan()
    world.files.remove(ROOT / "a.yaml")
    world.put("b.yaml", flow_text("x", typo=1))
    (found,) = world.scan().files
    assert {finding.file for finding in found.candidate.findings} == {"b.yaml"}


def test_unreadable_file_is_tried_again(world: World) -> None:
    """A file that could not be read is looked at in every scan, whatever its stat says."""
    world.put("a.yaml")
    world.files.fail("read", "/a.yaml", PermissionError(errno.EACCES, "denied"))
    assert codes(world.scan()) == {"a.yaml": ["FR110"]}
    world.files.mend()
    assert codes(world.scan()) == {"a.yaml": []}


def test_write_within_the_grain_of_the_time_stamp_is_seen(folder: Path) -> None:
    """A second write under an equal stat is seen when the first was read shortly after it."""
    path = folder / "a.yaml"
    clock = FakeClock(datetime.fromtimestamp(LONG_AGO_S + 1, UTC))
    scanner = local_scanner(clock)
    write_old(path, flow_text("aaa"))
    scanner.scan(folder)
    write_old(path, flow_text("bbb"))
    (found,) = scanner.scan(folder).files
    assert found.candidate.name == "bbb"


def test_settled_file_is_trusted(folder: Path) -> None:
    """A file that was old when it was read is known by its stat alone."""
    path = folder / "a.yaml"
    files, clock = CountedReads(), FakeClock(datetime.fromtimestamp(LONG_AGO_S + 3, UTC))
    scanner = Scanner(files, COMPILER, FolderTrees(files), clock)
    write_old(path, flow_text("aaa"))
    for _ in range(3):
        scanner.scan(folder)
    assert files.reads.count(path) == 1


def test_time_stamp_that_was_set_back_hides_nothing(folder: Path) -> None:
    """New content under the old size and time is read: the kernel tells when it was changed."""
    path = folder / "a.yaml"
    scanner = local_scanner(FakeClock(datetime.fromtimestamp(LONG_AGO_S + 3, UTC)))
    write_old(path, flow_text("aaa"))
    scanner.scan(folder)
    first = path.stat().st_ctime_ns
    while path.stat().st_ctime_ns == first:  # its clock ticks some hundred times a second
        write_old(path, flow_text("bbb"))
    (found,) = scanner.scan(folder).files
    assert found.candidate.name == "bbb"


def test_file_from_the_future_is_read_each_time(folder: Path) -> None:
    """A time stamp ahead of the clock proves nothing."""
    path = folder / "a.yaml"
    scanner = local_scanner(FakeClock(datetime.fromtimestamp(LONG_AGO_S - 3600, UTC)))
    write_old(path, flow_text("aaa"))
    scanner.scan(folder)
    write_old(path, flow_text("bbb"))
    (found,) = scanner.scan(folder).files
    assert found.candidate.name == "bbb"


# One reading, one state


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(ChangedWhileReadError("changed"), id="changed"),
        pytest.param(FileNotFoundError(errno.ENOENT, "gone"), id="removed"),
    ],
)
def test_file_that_changes_while_it_is_read_repeats_the_scan(world: World, error: OSError) -> None:
    """A file caught half-way makes the source unstable, so that the pass is repeated."""
    world.put("a.yaml")
    world.files.fail("read", "/a.yaml", error)
    with pytest.raises(UnstableSourceError, match=r"a\.yaml"):
        world.scan()
    world.files.mend()
    assert codes(world.scan()) == {"a.yaml": []}


def test_tree_that_moves_during_the_walk_repeats_the_scan() -> None:
    """A name that vanishes while the tree is walked makes the source unstable."""
    files = OddFiles(changed=True)
    scanner = Scanner(files, COMPILER, FolderTrees(files), FakeClock())
    with pytest.raises(UnstableSourceError):
        scanner.scan(ROOT)


def test_root_that_is_swapped_repeats_the_scan(world: World) -> None:
    """A link turned to another folder during the scan (git-sync) is noticed."""
    world.files.make_folder(Path("/rev-1"))
    world.files.make_folder(Path("/rev-2"))
    world.files.link(Path("/current"), "/rev-1")

    def swap(number: int) -> None:
        if number == 1:
            world.files.link(Path("/current"), "/rev-2")

    world.revisions.before_answer = swap
    with pytest.raises(UnstableSourceError, match="changed"):
        world.scanner.scan(Path("/current"))


def test_linked_root_is_read_through_one_folder(world: World) -> None:
    """The root is resolved once; git and files are asked at that one place."""
    world.files.write(Path("/rev-1/a.yaml"), flow_text("a"))
    world.files.link(Path("/current"), "/rev-1")
    found = world.scanner.scan(Path("/current"))
    assert [file.candidate.file for file in found.files] == ["a.yaml"]
    assert set(world.revisions.asked) == {Path("/rev-1")}


def test_revision_that_moves_repeats_the_scan(world: World) -> None:
    """A commit during the scan is noticed: a pass is of one revision."""
    world.revisions.answers = ["one", "two"]
    with pytest.raises(UnstableSourceError, match="revision"):
        world.scan()
    assert world.scan().revision == "two"


def test_failed_scan_does_not_spoil_the_next(world: World) -> None:
    """After an unstable scan the next one sees the source as it is."""
    world.put("a.yaml")
    world.scan()
    world.put("a.yaml", flow_text("other"))
    world.revisions.answers = ["one", "two", "two"]
    with pytest.raises(UnstableSourceError):
        world.scan()
    assert world.scan().files[0].candidate.name == "other"


# The revision


def test_revision_is_that_of_git(world: World) -> None:
    """Where git knows a revision it is the snapshot's."""
    world.revisions.answers = ["4b825dc642cb6eb9a060e54bf8d69288fbee4904-dirty"]
    assert world.scan().revision == "4b825dc642cb6eb9a060e54bf8d69288fbee4904-dirty"


def test_folder_without_git_is_named_by_its_contents(world: World) -> None:
    """Without git the revision is a hash over paths and contents, the same for the same."""
    world.put("a.yaml")
    first = world.scan().revision
    assert first.startswith("sha256:")
    world.put("a.yaml")
    assert world.scan().revision == first
    world.put("b.yaml")
    second = world.scan().revision
    world.files.remove(ROOT / "b.yaml")
    world.put("c.yaml", flow_text("b"))
    assert len({first, second, world.scan().revision}) == 3


def test_names_that_are_not_utf8_are_read(folder: Path) -> None:
    """A file name of arbitrary bytes is a flow file like any other."""
    name = os.fsdecode(b"\xff.yaml")
    (folder / name).write_bytes(flow_text("a"))
    found = local_scanner().scan(folder)
    assert codes(found) == {name: []}
    assert found.revision.startswith("sha256:")


class SwappedVolume(FakeFiles):
    """Two files that lead through one link, which is swapped after the first of them is read."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("a", "b"):
            for version in ("1", "2"):
                data = flow_text(name, description=version)
                self.write(ROOT / f"..{version}" / f"{name}.yaml", data)
            self.link(ROOT / f"{name}.yaml", f"..data/{name}.yaml")
        self.link(ROOT / "..data", "..1")

    def read(self, path: Path, *, limit: int) -> bytes:
        data = super().read(path, limit=limit)
        if path.name == "a.yaml":
            self.link(ROOT / "..data", "..2")
        return data


def test_a_volume_that_is_swapped_repeats_the_scan() -> None:
    """Kubelet swaps one link through which all files lead: a pass is of one side of it."""
    files = SwappedVolume()
    scanner = Scanner(files, COMPILER, FolderTrees(files), FakeClock())
    with pytest.raises(UnstableSourceError, match="link"):
        scanner.scan(ROOT)
    assert versions(scanner.scan(ROOT)) == ["2", "2"]


def versions(found: Snapshot) -> list[str]:
    return [str(file.candidate.spec and file.candidate.spec.description) for file in found.files]


def test_an_unchanged_source_gives_the_very_same_files(world: World) -> None:
    """Whoever compares two readings need not look into ten thousand of them."""
    world.put("a.yaml")
    world.put("b.yaml")
    world.clock.advance(3600)
    first = world.scan().files
    world.clock.advance(3600)
    second = world.scan().files
    assert first is second
    assert world.scan().files is second
