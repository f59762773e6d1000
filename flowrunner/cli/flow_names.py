"""Names of flows as typed: a list that is empty for a wrong name would say that all is well."""

from __future__ import annotations

from flowrunner.cli.client import ControlClient
from flowrunner.cli.paging import read_list
from flowrunner.errors import NotFoundError


def require_flow(client: ControlClient, name: str, account: str | None) -> None:
    """Refuses a name that no flow has and none had that was executed.

    Raises:
        NotFoundError: It is none, with the name that was probably meant.
    """
    flows, _ = read_list(client, "/api/v1/flows", {"account": account})
    names = [flow["name"] for flow in flows]
    if name in names:
        return
    query = {"flow": name, "account": account}
    former, _ = read_list(client, "/api/v1/executions", query, limit=1)
    if former:
        return
    import difflib

    close = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    shown = name if account is None else f"{account}/{name}"
    raise NotFoundError(f"there is no flow {shown}, and no execution of one{hint}")
