"""The border between accounts: a token of some accounts sees nothing of the others.

What it may not see does not exist for it: the answer is the same, whether a flow belongs to
another account or to nobody. An address that shows all accounts together is closed to it, unless
its route says that it sorts them out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from flowrunner.errors import AuthError, NotFoundError
from flowrunner.model.ids import ExecutionId
from flowrunner.web.context import caller_of, match_of
from flowrunner.web.routing import Caller, Match, Right

AccountOf = Callable[[ExecutionId], Awaitable[str | None]]
"""Returns the account of an execution, or None when there is no such execution."""


class AccountBorder:
    """Lets a caller of some accounts through to what is theirs.

    Args:
        account_of: Whose an execution is.
        refused: Hears of an address that is closed.
    """

    def __init__(
        self, app: ASGIApp, *, account_of: AccountOf, refused: Callable[[str], None]
    ) -> None:
        self._app = app
        self._account_of = account_of
        self._refused = refused

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Passes a request on.

        Raises:
            AuthError: ``auth.scope``: the address shows all accounts together.
            NotFoundError: It is of another account, or of nobody.
        """
        if scope["type"] != "http" or caller_of(scope).accounts is None:
            return self._app(scope, receive, send)
        return self._guarded(scope, receive, send)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._check(caller_of(scope), match_of(scope))
        try:
            await self._app(scope, receive, send)
        except NotFoundError as error:
            raise _nothing() from error  # whose own words may name other accounts

    async def _check(self, caller: Caller, match: Match) -> None:
        account = match.params.get("account")
        if account is None and "id" in match.params:
            account = await self._account_of(ExecutionId(match.params["id"])) or ""
        if account is not None:
            if not caller.sees(account):
                raise _nothing()
        elif not match.route.by_account and match.route.right is not Right.PUBLIC:
            self._refused("account")
            text = f"the token {caller.token} is for some accounts, and this shows all of them"
            raise AuthError(text, code="auth.scope")


def _nothing() -> NotFoundError:
    return NotFoundError("there is no such thing in the accounts of this token")
