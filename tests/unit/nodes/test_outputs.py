"""The syntax and the types of `$FLOW_OUTPUT`."""

from __future__ import annotations

import pytest

from flowrunner.errors import ExecutionError
from flowrunner.model.flow import ValueType
from flowrunner.model.ids import Json
from flowrunner.nodes.outputs import parse_outputs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", {}, id="empty"),
        pytest.param("\n  \n", {}, id="blank-lines"),
        pytest.param("a=1\n", {"a": "1"}, id="line"),
        pytest.param("a=1", {"a": "1"}, id="without-line-end"),
        pytest.param("a=", {"a": ""}, id="empty-value"),
        pytest.param("a= x ", {"a": " x "}, id="spaces-are-kept"),
        pytest.param("a=b=c", {"a": "b=c"}, id="equals-in-value"),
        pytest.param("a=b<<c", {"a": "b<<c"}, id="heredoc-in-value"),
        pytest.param("a=1\na=2", {"a": "2"}, id="last-wins"),
        pytest.param("a<<EOF\nx\n\ny\nEOF\nb=1", {"a": "x\n\ny", "b": "1"}, id="block"),
        pytest.param("a<<EOF\nEOF", {"a": ""}, id="empty-block"),
        pytest.param("a<<EOF\nb=1\nEOF ", None, id="end-with-a-space-is-no-end"),
        pytest.param("a<<END=1\nx\nEND=1", {"a": "x"}, id="equals-in-delimiter"),
        pytest.param("ä=1", None, id="name-not-ascii"),
        pytest.param("A=1", None, id="name-upper-case"),
        pytest.param(" a=1", None, id="name-with-space"),
        pytest.param("=1", None, id="no-name"),
        pytest.param("just text", None, id="no-separator"),
        pytest.param("a<<EOF\nx", None, id="block-without-end"),
        pytest.param("a<<\nx\n\n", None, id="block-without-delimiter"),
    ],
)
def test_text_becomes_outputs_or_an_error(text: str, expected: dict[str, str] | None) -> None:
    """Lines and blocks are read as GitHub reads them; anything else is refused."""
    if expected is not None:
        assert parse_outputs(text.encode(), {}) == expected
        return
    with pytest.raises(ExecutionError) as caught:
        parse_outputs(text.encode(), {})
    assert (caught.value.code, caught.value.final) == ("output", True)


def test_error_tells_the_line() -> None:
    """A person can find what is wrong."""
    with pytest.raises(ExecutionError, match="line 3 of"):
        parse_outputs(b"a=1\nb=2\noops\n", {})


def test_bytes_that_are_no_text_are_refused() -> None:
    """Outputs are UTF-8; the error says where they are not."""
    with pytest.raises(ExecutionError, match="not UTF-8 at byte 2"):
        parse_outputs(b"a=\xff", {})


@pytest.mark.parametrize(
    ("declared", "text", "expected"),
    [
        pytest.param("string", "42", "42", id="string"),
        pytest.param("integer", "42", 42, id="integer"),
        pytest.param("integer", " 42 ", 42, id="integer-with-spaces"),
        pytest.param("number", "2.5", 2.5, id="number"),
        pytest.param("number", "2", 2, id="integer-is-a-number"),
        pytest.param("boolean", "true", True, id="boolean"),
        pytest.param("array", "[1, 2]", [1, 2], id="array"),
        pytest.param("object", '{"a": null}', {"a": None}, id="object"),
    ],
)
def test_declared_output_has_its_type(declared: str, text: str, expected: Json) -> None:
    """A declared type parses the text as JSON."""
    found = parse_outputs(f"a={text}".encode(), {"a": ValueType(declared)})
    assert found == {"a": expected}
    assert type(found["a"]) is type(expected)


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        pytest.param("integer", "4.5", id="number-for-integer"),
        pytest.param("integer", "true", id="boolean-for-integer"),
        pytest.param("integer", "", id="nothing-for-integer"),
        pytest.param("integer", "forty", id="word-for-integer"),
        pytest.param("number", "NaN", id="not-a-number"),
        pytest.param("number", "1e999", id="infinity"),
        pytest.param("boolean", "1", id="integer-for-boolean"),
        pytest.param("boolean", "True", id="python-for-boolean"),
        pytest.param("array", "{}", id="object-for-array"),
        pytest.param("object", "null", id="null-for-object"),
        pytest.param("array", "[" * 100_000, id="bottomless"),
        pytest.param("array", "[1e999]", id="infinity-inside"),
        pytest.param("integer", "9" * 5_000, id="endless-digits"),
    ],
)
def test_misfit_is_refused(declared: str, text: str) -> None:
    """A text that is not of the declared type fails the attempt, in a short sentence."""
    with pytest.raises(ExecutionError) as caught:
        parse_outputs(f"a={text}".encode(), {"a": ValueType(declared)})
    assert caught.value.code == "output"
    assert len(caught.value.message) < 200


def test_declared_output_that_was_not_written_is_left_out() -> None:
    """It is null to expressions, as the outputs of a node that did not run are."""
    assert parse_outputs(b"", {"a": ValueType.INTEGER}) == {}


@pytest.mark.parametrize(
    ("text", "message", "details"),
    [
        pytest.param(
            "rows=s3cr3t",
            "output rows: must be of type integer",
            {"value": "s3cr3t"},
            id="misfit",
        ),
        pytest.param(
            "b=1\ns3cr3t<<s3cr3t\n",
            "the block that begins in line 2 of $FLOW_OUTPUT is not closed",
            {"delimiter": "s3cr3t"},
            id="open-block",
        ),
        pytest.param(
            "s3cr3t", "line 1 of $FLOW_OUTPUT is neither key=value nor key<<EOF", {}, id="no-line"
        ),
    ],
)
def test_message_does_not_quote_the_program(
    text: str, message: str, details: dict[str, str]
) -> None:
    """What a program wrote is in the details alone: the message is shown to everybody."""
    with pytest.raises(ExecutionError) as caught:
        parse_outputs(text.encode(), {"rows": ValueType.INTEGER})
    assert (caught.value.message, caught.value.details) == (message, details)
    assert not caught.value.quotes_data
