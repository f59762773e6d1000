"""What messages say: names and places, never data; one event, equal ones, or a summary."""

from __future__ import annotations

from dataclasses import replace

from flowrunner.model.ids import FlowKey
from flowrunner.model.notify import NotifyOn, notice_of
from flowrunner.notify.message import MOST_LINES, Message, Sender
from tests.fakes.records import minutes
from tests.unit.notify.notices import SENDER, make_notice


def test_one_notice_says_what_where_and_why() -> None:
    """Subject, text and JSON name flow, state, reason, execution, revision, host and link."""
    notice = make_notice()
    message = Message(sender=SENDER, notices=(notice,))
    link = f"https://flows.example.com/api/v1/executions/{notice.execution}"
    assert (message.id, message.subject) == (notice.id, "backup failed on web1")
    assert message.text.splitlines() == [
        "backup failed on web1",
        "account: default",
        "flow: backup",
        "state: failed",
        "reason: exit_code",
        "message: node work failed",
        f"execution: {notice.execution}",
        "revision: abc",
        "host: web1",
        "at: 2027-03-01T12:00:00Z",
        f"link: {link}",
    ]
    told = message.to_json()
    assert (told["type"], told["timestamp"]) == ("flow.failed", "2027-03-01T12:00:00Z")
    assert (told["data"]["link"], told["data"]["count"]) == (link, 1)


def test_facts_that_are_not_known_are_left_out() -> None:
    """Without an address there is no link; without an execution the link leads to the flow."""
    notice = replace(make_notice(flow=FlowKey("pay", "a")), execution="", message="")
    plain = Message(sender=Sender(host="web1"), notices=(notice,))
    assert not {"link", "message", "execution"} & plain.to_json()["data"].keys()
    assert plain.subject == "pay/a failed on web1"
    linked = Message(sender=SENDER, notices=(notice,)).to_json()
    assert linked["data"]["link"] == "https://flows.example.com/api/v1/flows/pay/a"


def test_equal_notices_are_one_with_their_number() -> None:
    """The newest one is told, and how many there were."""
    notices = tuple(make_notice(n, at=minutes(n)) for n in range(3))
    message = Message(sender=SENDER, notices=notices)
    assert message.subject == "backup failed on web1, 3 times"
    assert message.to_json()["data"]["execution"] == notices[2].execution
    assert message.id == Message(sender=SENDER, notices=notices).id != notices[0].id


def test_summary_names_some_and_counts_the_rest() -> None:
    """Many notices are lines, and beyond the bound a number, with what found no room."""
    notices = tuple(
        make_notice(n, flow=FlowKey("default", f"f{n}"), count=1 + n % 2) for n in range(30)
    )
    message = Message(sender=SENDER, notices=notices, left_out=5)
    lines = message.text.splitlines()
    assert lines[0] == message.subject == "50 notifications from web1"
    assert lines[1:3] == [
        "- f0 failed on web1 (exit_code)",
        "- f1 failed on web1, 2 times (exit_code)",
    ]
    assert (len(lines), lines[-1]) == (MOST_LINES + 2, "20 more")
    told = message.to_json()
    assert (told["type"], told["data"]["count"]) == ("notifications.summary", 50)
    assert len(told["data"]["items"]) == 30


def test_notice_comes_back_as_it_was_kept() -> None:
    """What a mark holds is the whole notice."""
    notice = make_notice(3, NotifyOn.LATE, count=4)
    assert notice_of(notice.id, notice.channel, notice.flow, notice.to_json()) == notice


def test_message_of_a_node_is_told_as_it_is() -> None:
    """Its subject heads it, its lines stay, and who says it comes below."""
    notice = replace(
        make_notice(1, NotifyOn.MESSAGE),
        subject="all is well",
        message="a\n\nb",
        node="tell",
        state="",
        reason="",
        revision="",
    )
    message = Message(sender=SENDER, notices=(notice,))
    assert message.subject == "backup: all is well"
    assert message.text.splitlines()[:9] == [
        *("backup: all is well", "", "a", "", "b", ""),
        *("account: default", "flow: backup", f"execution: {notice.execution}"),
    ]
    assert "node: tell" in message.text
    told = message.to_json()
    assert told["type"] == "flow.message"
    assert (told["data"]["message"], told["data"]["node"]) == ("a\n\nb", "tell")
    kept = notice_of(notice.id, notice.channel, notice.flow, notice.to_json())
    assert kept == notice
    several = Message(sender=SENDER, notices=(notice, replace(notice, id="x", subject="b")))
    assert several.is_summary
    assert "- backup: b" in several.text


def test_notice_of_an_earlier_version_is_read() -> None:
    """What was kept before nodes could say something has neither node nor subject."""
    kept = make_notice().to_json()
    del kept["node"], kept["subject"]
    notice = make_notice()
    assert notice_of(notice.id, notice.channel, notice.flow, kept) == notice
