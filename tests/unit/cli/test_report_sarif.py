"""What is written as SARIF is SARIF, by the schema of the standard."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft4Validator, FormatChecker

from flowrunner import __version__
from flowrunner.cli.report_sarif import sarif_document
from flowrunner.daemon.offline import finding_codes, validate
from flowrunner.model.finding import Finding, Severity
from flowrunner.model.ids import Json
from tests.definitions.examples import BAD, FOLDER

SCHEMA = json.loads((FOLDER.parent / "schemas/sarif-2.1.0.json").read_text(encoding="utf-8"))
VALIDATOR = Draft4Validator(SCHEMA, format_checker=FormatChecker())

FINDING = Finding(
    file="flows/a b.yaml",
    line=3,
    column=5,
    code="FR201",
    pointer="/nodes/0/nmae",
    message="unknown key 'nmae'",
    hint="did you mean 'name'?",
)


def written(*findings: Finding) -> Json:
    """Returns the run of a log that fits the schema."""
    document = json.loads(json.dumps(sarif_document(findings, finding_codes())))
    assert [error.message for error in VALIDATOR.iter_errors(document)] == []
    (run,) = document["runs"]
    return run


def test_schema_can_say_no() -> None:
    """The schema that the other tests rely on refuses what is no SARIF."""
    document = sarif_document([FINDING], finding_codes())
    document["runs"][0]["results"][0]["level"] = "fatal"
    assert not VALIDATOR.is_valid(document)


def test_log_names_the_tool_and_every_rule() -> None:
    """Name, version, address and all codes with their explanations stand in every log."""
    driver = written()["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("FlowRunner", __version__)
    assert driver["informationUri"].startswith("https://")
    assert [rule["id"] for rule in driver["rules"]] == [code.code for code in finding_codes()]
    assert all(rule["help"]["text"].endswith(".") for rule in driver["rules"])
    levels = {rule["id"]: rule["defaultConfiguration"]["level"] for rule in driver["rules"]}
    assert (levels["FR201"], levels["FR501"]) == ("error", "warning")


def test_result_says_what_and_where() -> None:
    """Rule, level, text, file, position in code points and pointer are those of the finding."""
    run = written(FINDING)
    (result,) = run["results"]
    assert run["columnKind"] == "unicodeCodePoints"
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "FR201"
    assert result["level"] == "error"
    assert result["message"]["text"] == "unknown key 'nmae'\nhint: did you mean 'name'?"
    (location,) = result["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "flows/a%20b.yaml", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 3, "startColumn": 5},
    }
    assert location["logicalLocations"] == [{"fullyQualifiedName": "/nodes/0/nmae"}]


def test_warning_and_finding_without_a_position() -> None:
    """A warning has its level; a finding about a whole file has no region."""
    whole = Finding(file="a.yaml", code="FR106", message="too large", severity=Severity.WARNING)
    (result,) = written(whole)["results"]
    assert result["level"] == "warning"
    assert "region" not in result["locations"][0]["physicalLocation"]


@pytest.mark.parametrize(
    ("file", "uri"),
    [
        pytest.param("./flows//a.yaml", "flows/a.yaml", id="as-git-names-it"),
        pytest.param("a:b#c?.yaml", "a%3Ab%23c%3F.yaml", id="delimiters"),
        pytest.param("100%.yaml", "100%25.yaml", id="percent"),
        pytest.param("zürich.yaml", "z%C3%BCrich.yaml", id="beyond-ascii"),
        pytest.param("\udcff.yaml", "%FF.yaml", id="not-utf-8"),
        pytest.param("/etc/flows/a.yaml", "file:///etc/flows/a.yaml", id="absolute"),
        pytest.param("<stdin>", "%3Cstdin%3E", id="stdin"),
    ],
)
def test_name_of_a_file_is_an_address(file: str, uri: str) -> None:
    """Any name becomes a relative address, an absolute path one with its scheme."""
    (result,) = written(replace(FINDING, file=file))["results"]
    artifact = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert artifact["uri"] == uri
    assert ("uriBaseId" in artifact) == (not uri.startswith("file:"))


def test_fingerprint_outlasts_new_lines_and_tells_twins_apart() -> None:
    """A finding that moved down is the same one, two alike in one log are two."""
    first, second = written(FINDING, replace(FINDING, line=9))["results"]
    (moved,) = written(replace(FINDING, line=42))["results"]
    (other,) = written(replace(FINDING, message="unknown key 'nam'"))["results"]
    assert first["partialFingerprints"] == moved["partialFingerprints"]
    assert first["partialFingerprints"] != second["partialFingerprints"]
    assert first["partialFingerprints"] != other["partialFingerprints"]


@pytest.mark.heavy
def test_every_bad_file_can_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The findings of all bad files fit the schema, in their order."""
    monkeypatch.chdir(FOLDER)
    report = validate([str(Path("bad") / path.name) for path in BAD])
    results = written(*report.findings)["results"]
    assert [result["ruleId"] for result in results] == [f.code for f in report.findings]
