"""Which flows name a user as whom nothing can run on this host, and why."""

from __future__ import annotations

from collections.abc import Mapping

from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import FlowKey
from flowrunner.system.users import Users


def refused_users(specs: Mapping[FlowKey, FlowSpec], users: Users) -> dict[FlowKey, str]:
    """Returns why, by flow, for the first such user of each; without flows that are fine.

    Asks for each user once for each account, and blocks: users may come from a directory in the
    network.
    """
    named = {key: spec.users for key, spec in specs.items() if spec.users}
    wanted = {(name, key.account) for key, names in named.items() for name in names}
    problems = {pair: users.problem(*pair) for pair in wanted}
    found = {
        key: next((text for name in names if (text := problems[name, key.account])), "")
        for key, names in named.items()
    }
    return {key: problem for key, problem in found.items() if problem}
