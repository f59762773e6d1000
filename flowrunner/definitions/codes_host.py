"""Codes of findings about a host: what `flowrunner validate --settings` says beside the files."""

from __future__ import annotations

from flowrunner.definitions.code import Code

SECRET_MISSING = Code(
    "FR601",
    "secret missing on this host",
    "The settings given by `--settings` lead to no secret of this name, or to an empty one. The "
    "flow is valid, but would not be Ready on this host. Of several secrets of a webhook one is "
    "enough.",
)
USER_NOT_PERMITTED = Code(
    "FR602",
    "user not permitted on this host",
    "On this host, with the settings given by `--settings`, a program cannot run as the user that "
    "the node names: it does not exist, the daemon is not root, or `engine.users` does not list "
    "it. Judged is who runs `validate`: let that be the daemon's user. The flow is valid, but "
    "would not be Ready.",
)
NODE_TYPE_NOT_PERMITTED = Code(
    "FR603",
    "node type not permitted on this host",
    "On this host, with the settings given by `--settings`, the account of the flow may not use "
    "the type of this node: `accounts.NAME.node_types` lists those that it may. A `wait` with a "
    "`probe` takes `shell`, too. The flow is valid, but would not be Ready.",
)
PATH_NOT_PERMITTED = Code(
    "FR604",
    "path not permitted on this host",
    "On this host, with the settings given by `--settings`, the account of the flow may not look "
    "for these files: no folder of `accounts.NAME.roots`, for the account `default` also of "
    "`engine.roots`, holds the path of the trigger. The flow is valid, but would not be Ready.",
)
CHANNEL_MISSING = Code(
    "FR605",
    "channel missing on this host",
    "The settings given by `--settings` have no channel of this name, or for a node of type "
    "`email` none of that type: neither `notify.channels` nor `accounts.NAME.channels` of the "
    "flow's account. The flow is valid, but would not be Ready: a failure of which nobody hears "
    "is worse than a flow that says what it lacks.",
)
