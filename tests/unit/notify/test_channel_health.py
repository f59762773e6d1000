"""Which channels fail, since when: a condition that changes with its status alone."""

from __future__ import annotations

from datetime import timedelta

from flowrunner.model.conditions import Condition, Status
from flowrunner.notify.channel_health import MOST_NAMED, ChannelHealth
from tests.fakes.clock import FakeClock
from tests.fakes.records import NOON


def make_health(*labels: str) -> tuple[ChannelHealth, FakeClock]:
    clock = FakeClock(loop=None, start=NOON)
    return ChannelHealth(labels, clock), clock


def the(health: ChannelHealth) -> Condition:
    (condition,) = health.conditions
    return condition


def test_without_channels_there_is_nothing_to_say() -> None:
    """A host that tells nobody anything has neither the condition nor the line."""
    health, _ = make_health()
    assert (health.conditions, health.summary) == ((), "")


def test_times_are_those_of_the_first_failure_and_the_last_healing() -> None:
    """While one of several fails the status stays, with its time; each channel has its own."""
    health, clock = make_health("oncall", "mail")
    assert (the(health).status, the(health).last_transition_at) == (Status.TRUE, NOON)
    assert health.summary == "2 channels, none fails"
    clock.advance(60)
    health.failed("oncall", "answered 503")
    clock.advance(60)
    health.failed("mail", "no answer")
    health.failed("oncall", "answered 500")
    failing = the(health)
    assert (failing.status, failing.reason) == (Status.FALSE, "ChannelFailing")
    assert failing.last_transition_at == NOON + timedelta(minutes=1)
    assert failing.message == (
        "oncall: answered 500 (2 tries since 2027-03-01T12:01:00Z); "
        "mail: no answer (1 try since 2027-03-01T12:02:00Z)"
    )
    assert health.summary == failing.message
    clock.advance(60)
    health.worked("oncall")
    assert the(health).status is Status.FALSE
    assert the(health).last_transition_at == NOON + timedelta(minutes=1)
    clock.advance(60)
    health.worked("mail")
    clock.advance(60)
    health.worked("oncall")
    assert (the(health).status, the(health).reason) == (Status.TRUE, "Working")
    assert the(health).last_transition_at == NOON + timedelta(minutes=4)
    clock.advance(60)
    health.failed("mail", "no answer")
    assert the(health).last_transition_at == NOON + timedelta(minutes=6)


def test_channel_that_left_fails_no_more() -> None:
    """What is taken out of the settings is nobody's trouble, also when its last try ends later."""
    health, _ = make_health("oncall", "mail")
    health.failed("oncall", "answered 503")
    health.replace(["mail"])
    assert (the(health).status, dict(health.failing)) == (Status.TRUE, {})
    health.failed("oncall", "answered 503")
    assert the(health).status is Status.TRUE
    health.replace([])
    assert health.conditions == ()


def test_channel_that_lacks_a_secret_is_told_like_one_that_fails() -> None:
    """It has the status and the time of a failure, until it is there or the channel gone."""
    health, clock = make_health("oncall", "mail")
    clock.advance(60)
    health.lack({"mail": ("USER", "PASSWORD"), "gone": ("X",)})
    assert (the(health).status, the(health).reason) == (Status.FALSE, "ChannelFailing")
    assert the(health).message == "mail: it lacks the secret USER and PASSWORD"
    assert the(health).last_transition_at == NOON + timedelta(minutes=1)
    clock.advance(60)
    health.failed("mail", "no answer")
    assert the(health).message == "mail: no answer (1 try since 2027-03-01T12:02:00Z)"
    health.lack({})
    assert the(health).status is Status.FALSE
    clock.advance(60)
    health.worked("mail")
    assert (the(health).status, health.summary) == (Status.TRUE, "2 channels, none fails")
    assert the(health).last_transition_at == NOON + timedelta(minutes=3)
    health.lack({"mail": ("USER",)})
    health.replace(["oncall"])
    assert the(health).status is Status.TRUE


def test_many_failing_channels_are_counted() -> None:
    """The message stays short, however many there are."""
    labels = [f"c{n}" for n in range(MOST_NAMED + 3)]
    health, _ = make_health(*labels)
    for label in labels:
        health.failed(label, "answered 503")
    assert the(health).message.endswith("; 3 more")
    assert the(health).message.count("answered") == MOST_NAMED
