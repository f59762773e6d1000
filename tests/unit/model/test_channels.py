"""Which channels a flow may name: those of its account before those of the host, of their type."""

from __future__ import annotations

from flowrunner.model.channels import ANY_CHANNELS, NO_CHANNELS, ChannelMap, ChannelUse
from flowrunner.model.notify import build_rules

CHANNELS = ChannelMap(
    host={"oncall": "slack", "mail": "email"}, of_accounts={"pay": {"mail": "exec", "own": "ping"}}
)
RULES = build_rules([{"on": ["failed"], "channels": ["oncall", "own"]}])


def test_label_says_whose_a_channel_is() -> None:
    """An account's channel takes the place of one of the host, for that account alone."""
    assert CHANNELS.label("pay", "mail") == "pay/mail"
    assert CHANNELS.label("web", "mail") == "mail"
    assert CHANNELS.label("pay", "oncall") == "oncall"
    assert CHANNELS.label("web", "own") is None


def test_what_rules_and_nodes_name_must_be_there() -> None:
    """Each name is told once, with what is wrong; a type is asked for where it matters."""
    uses = (ChannelUse("mail", "email"), ChannelUse("mail"), ChannelUse("gone"))
    assert CHANNELS.problems("web", RULES, uses) == {
        ChannelUse("gone"): "no channel 'gone'",
        ChannelUse("own"): "no channel 'own'",
    }
    assert CHANNELS.problems("pay", None, uses) == {
        ChannelUse("gone"): "no channel 'gone'",
        ChannelUse("mail", "email"): "no channel 'mail' of type email: it is of type exec",
    }
    assert CHANNELS.problems("web", None, ()) == {}


def test_open_map_takes_every_name() -> None:
    """Where nobody is told anything no channel is missing."""
    assert ANY_CHANNELS.problems("web", RULES, (ChannelUse("x", "email"),)) == {}
    assert list(NO_CHANNELS.problems("web", RULES, ())) == [ChannelUse("oncall"), ChannelUse("own")]
