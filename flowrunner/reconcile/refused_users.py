"""Which flows name a user as whom nothing can run on this host, and why."""

from __future__ import annotations

from collections.abc import Mapping

from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import FlowKey
from flowrunner.system.users import Users


def refused_users(specs: Mapping[FlowKey, FlowSpec], users: Users) -> dict[FlowKey, str]:
    """Returns why, by flow, for the first such user of each; without flows that are fine.

    Asks for each user once, and blocks: users may come from a directory in the network.
    """
    named = {key: spec.users for key, spec in specs.items() if spec.users}
    problems = {
        name: users.problem(name) for name in {each for it in named.values() for each in it}
    }
    found = {
        key: next((problems[name] for name in names if problems[name]), "")
        for key, names in named.items()
    }
    return {key: problem for key, problem in found.items() if problem}
