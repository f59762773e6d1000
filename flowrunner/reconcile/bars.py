"""Whether a flow may not start because of its account: what is gone, unknown, or not for it."""

from __future__ import annotations

from flowrunner.model.accounts import AccountMap
from flowrunner.model.channels import ChannelMap
from flowrunner.model.conditions import ConditionReason
from flowrunner.model.flow import FlowSpec
from flowrunner.registry.entry import Bar


def bar_of(account: str, spec: FlowSpec, accounts: AccountMap, channels: ChannelMap) -> Bar | None:
    """Returns what is in the way of one flow.

    That its account is unknown can only be true of a flow from before a change of the settings,
    until a pass has read the source and taken it out of force.
    """
    if not accounts.is_known(account):
        text = f"the settings have no account {account}"
        return Bar(ConditionReason.NO_ACCOUNT, text)
    refused = accounts.refused_types(account, spec.node_types)
    if refused:
        text = f"account {account} may not use the node type {', '.join(refused)}"
        return Bar(ConditionReason.NODE_TYPE_NOT_PERMITTED, text)
    outside = [t.path for t in spec.inboxes if not accounts.is_allowed(account, t.glob.base)]
    if outside:
        text = f"account {account} may not look for {', '.join(outside)}: no root holds it"
        return Bar(ConditionReason.PATH_NOT_PERMITTED, text)
    missing = channels.problems(account, spec.notify, spec.channels)
    if missing:
        text = f"the settings have {', '.join(missing.values())} for account {account}"
        return Bar(ConditionReason.CHANNEL_MISSING, text)
    return None
