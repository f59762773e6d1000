"""`notify` and `email` by themselves: what they ask for, masked and checked."""

from __future__ import annotations

import asyncio

import pytest

from flowrunner.errors import ExecutionError
from flowrunner.model.ids import Json
from flowrunner.nodes.builtin.email import MOST_RECEIVERS, EmailNode
from flowrunner.nodes.builtin.notify import LONGEST_MESSAGE, LONGEST_SUBJECT, NotifyNode
from flowrunner.nodes.telling import Letter, NoChannels, Saying
from tests.unit.nodes.attempts import Notes, make_context

MAIL = {"channel": "mail", "subject": "s", "body": "b"}


class Ear:
    """Meets `TellsPeople`; keeps what it is told."""

    def __init__(self) -> None:
        self.sayings: list[Saying] = []
        self.letters: list[Letter] = []

    async def tell(self, saying: Saying) -> str:
        self.sayings.append(saying)
        return "heard"

    async def mail(self, letter: Letter) -> str:
        self.letters.append(letter)
        return "read"


def say(*hidden: str, **params: Json) -> tuple[Saying, list[str]]:
    """Returns what a `notify` asked for, and the notes that it left."""
    ear, notes = Ear(), Notes()
    context = make_context(notes, hidden)
    result = asyncio.run(
        NotifyNode(lambda: ear).execute(context, {"channels": ["oncall"], **params})
    )
    assert result.outputs == {}
    (saying,) = ear.sayings
    assert (saying.key, saying.flow) == (context.key, context.flow)
    return saying, notes.texts


def write(*hidden: str, **params: Json) -> tuple[Letter, list[str]]:
    """Returns what an `email` asked for, and the notes that it left."""
    ear, notes = Ear(), Notes()
    asyncio.run(EmailNode(lambda: ear).execute(make_context(notes, hidden), {**MAIL, **params}))
    return ear.letters[0], notes.texts


def test_subject_is_the_first_line_of_a_message_that_names_none() -> None:
    """A message is told as it is, below one line that says what it is about."""
    saying, notes = say(message="\n  all is\twell \nreally\n")
    assert (saying.subject, saying.message) == ("all is well", "\n  all is\twell \nreally\n")
    assert notes == ["heard: all is well", saying.message]
    saying, notes = say(message="well", subject="a\r\nBcc: b")
    assert (saying.subject, saying.is_waited) == ("a Bcc: b", False)
    assert say(message="well", wait=True)[0].is_waited


def test_what_a_notify_says_is_bounded_and_masked() -> None:
    """No secret of the flow leaves by a message, and no message is endless."""
    saying, notes = say("hush hush", message="it is hush hush", subject="hush hush!")
    assert (saying.subject, saying.message) == ("***!", "it is ***")
    assert "hush" not in "".join(notes)
    saying, _ = say(message="x" * 20_000)
    assert (len(saying.message), len(saying.subject)) == (LONGEST_MESSAGE, LONGEST_SUBJECT)
    assert saying.message.endswith("x…")


def test_message_may_be_any_value() -> None:
    """An expression may give a number, a map, or half a surrogate pair."""
    assert say(message=42)[0].message == "42"
    assert say(message={"rows": 1})[0].message == '{"rows":1}'
    assert say(message="")[0].subject == "(no text)"
    assert say(message="\ud800")[0].subject == "\\ud800"


def test_letter_has_receivers_subject_and_body() -> None:
    """Each of the receivers may be one address or a list; the log names no receiver or text."""
    letter, notes = write(
        "hush hush",
        to="a@example.com",
        cc=["b@example.com", "b@example.com"],
        subject="hush hush\nTo: x",
        body="hush hush\n",
    )
    assert (letter.to, letter.cc, letter.bcc) == (("a@example.com",), ("b@example.com",), ())
    assert (letter.subject, letter.body) == ("*** To: x", "***\n")
    assert notes == ["read: *** To: x"]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("nobody", id="no-host"),
        pytest.param("a@example.com\nBcc: b@example.com", id="line-end"),
        pytest.param("a@example.com, b@example.com", id="two"),
        pytest.param("A <a@example.com>", id="name"),
        pytest.param("=?x?q?=0A?=@example.com", id="encoded-word"),
        pytest.param(".a@example.com", id="dot"),
        pytest.param("a..b@example.com", id="dots"),
        pytest.param("a@example.com>\u0020SIZE=1", id="smtp"),
        pytest.param("ä@example.com", id="not-ascii"),
        pytest.param([["a@example.com"]], id="nested"),
        pytest.param([], id="none"),
        pytest.param(None, id="null"),
        pytest.param([f"a{n}@example.com" for n in range(MOST_RECEIVERS + 1)], id="many"),
    ],
)
@pytest.mark.parametrize("key", ["to", "cc", "bcc"])
def test_what_is_no_address_fails_for_good(key: str, value: Json) -> None:
    """Nothing that was computed gets into a header or a command of SMTP but addresses."""
    with pytest.raises(ExecutionError) as caught:
        write(**{key: value})
    assert (caught.value.code, caught.value.final) == ("bad_address", True)
    assert "example.com" not in caught.value.message


def test_nothing_is_sent_where_there_are_no_channels() -> None:
    """Who cannot send says so."""
    with pytest.raises(ExecutionError, match="no channel 'oncall'") as caught:
        asyncio.run(
            NotifyNode(NoChannels).execute(
                make_context(), {"channels": ["oncall"], "message": "hello"}
            )
        )
    assert caught.value.code == "channel_missing"
    with pytest.raises(ExecutionError, match="no channel 'mail'"):
        asyncio.run(EmailNode(NoChannels).execute(make_context(), MAIL))
