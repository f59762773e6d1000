"""The wheel, installed far from the checkout, is the whole product."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.system.daemon import Program, bare_environment, command, daemon
from tests.system.flow_files import NOTHING, flow_text, says, write_flow

pytestmark = pytest.mark.system

CHECKOUT = Path(__file__).parents[2]
ISOLATED = {"PYTHONPATH": ""}
"""The environment in which nothing but the venv says where packages are."""
NOT_PACKAGED = shutil.ignore_patterns(".*", "__pycache__", "dist", "build", "tests", "benchmarks")


def run(*arguments: str, cwd: Path) -> None:
    """Runs a tool that must succeed."""
    done = subprocess.run(arguments, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """The command `flowrunner` of a fresh venv that has the wheel and nothing of the checkout.

    The libraries come from the venv of the tests by a path entry, which leaves its own path
    files unread: the editable installation of the checkout among them.
    """
    place = tmp_path_factory.mktemp("package")
    tree, venv = place / "tree", place / "venv"
    shutil.copytree(CHECKOUT, tree, ignore=NOT_PACKAGED)
    build = ("-m", "build", "--no-isolation", "--wheel", "--outdir", str(place))
    run(sys.executable, *build, str(tree), cwd=place)
    (wheel,) = place.glob("flowrunnerd-*.whl")
    shutil.rmtree(tree)
    run(sys.executable, "-m", "venv", "--without-pip", str(venv), cwd=place)
    pip = (sys.executable, "-m", "pip", "--python", str(venv / "bin" / "python"))
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel), cwd=place)
    (packages,) = venv.glob("lib/python*/site-packages")
    libraries = packages / "libraries.pth"
    libraries.write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return (str(venv / "bin" / "flowrunner"),)


def test_the_installed_command_is_the_wheels_own(program: Program, tmp_path: Path) -> None:
    """What the other tests of this module run comes from the wheel, not from the checkout."""
    python = Path(program[0]).with_name("python")

    found = subprocess.run(
        [python, "-c", "import flowrunner; print(flowrunner.__file__)"],
        cwd=tmp_path,
        env=bare_environment(ISOLATED),
        capture_output=True,
        text=True,
        check=True,
    )

    assert Path(found.stdout.strip()).is_relative_to(python.parents[1])


def test_the_installed_command_validates(program: Program, tmp_path: Path) -> None:
    """Schemas and node types are in the wheel."""
    write_flow(tmp_path, "good", says("hi"))
    good = command("validate", "good.yaml", cwd=tmp_path, env=ISOLATED, program=program)
    assert good.returncode == 0, good.stderr

    (tmp_path / "bad.yaml").write_text(flow_text("bad", "foo: 1\n", NOTHING), encoding="utf-8")
    bad = command(
        "validate", "--format", "json", "bad.yaml", cwd=tmp_path, env=ISOLATED, program=program
    )
    assert bad.returncode == 3, bad.stderr
    assert {it["code"] for it in json.loads(bad.stdout)["findings"]} == {"FR201"}


@pytest.mark.parametrize("kind", ["flow", "defaults", "settings"])
def test_the_installed_command_prints_the_published_schema(
    program: Program, tmp_path: Path, kind: str
) -> None:
    """What an editor gets from the command is what the repository publishes."""
    published = json.loads((CHECKOUT / "schemas" / f"{kind}.v1.schema.json").read_text("utf-8"))

    printed = command("schema", kind, cwd=tmp_path, env=ISOLATED, program=program)

    assert printed.returncode == 0, printed.stderr
    assert json.loads(printed.stdout) == published


def test_the_wheel_carries_the_published_schemas(program: Program) -> None:
    """The files of `schemas/` lie in the package, byte for byte."""
    (installed,) = Path(program[0]).parents[1].glob("lib/python*/site-packages/flowrunner/schemas")

    published = CHECKOUT / "schemas"
    names = sorted(path.name for path in published.iterdir())
    assert sorted(path.name for path in installed.iterdir()) == names
    for name in names:
        assert (installed / name).read_bytes() == (published / name).read_bytes()


def test_the_installed_daemon_serves(program: Program, flows: Path, state: Path) -> None:
    """`serve` from the wheel becomes ready, and a flow runs."""
    write_flow(flows, "hello", says("hi"))

    with daemon(flows, state, env=ISOLATED, program=program) as running:
        assert running.request("/readyz").status == 200
        assert running.ended(running.start("hello"))["state"] == "succeeded"
