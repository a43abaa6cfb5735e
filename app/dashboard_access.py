"""Whom the pages are shown to, what of them, and who may steer runs.

The operator (by token, or from this machine where none is set) sees all. Who signed in with GitHub
sees the runs of repositories in which GitHub gives them a role, asked for with the App's own
identity and believed for a few minutes: no token of a person is kept.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi import HTTPException, Request

from app import access, sign_in
from app.forge import Forge
from app.forge_records import ForgeError, Permission
from app.records import Run
from app.settings import Settings

BELIEVED_S = 300.0
"""So long an answer of GitHub about a person's role holds."""
ASKED_AT_ONCE = 8
MOST_ROLES = 10_000

AskPermission = Callable[[int, str, str], Awaitable[Permission]]
"""From an installation, a repository and a login: what that person may do there."""

_NONE = Permission("none", "none")
_PROCESS_KEY = secrets.token_hex(32)
"""Signs form tokens where neither operator token nor sign-in is set."""


def asked_of(forge: Callable[[int, str], Forge]) -> AskPermission:
    """Roles as GitHub tells them to the App's own installations. Raises `ForgeError`."""

    async def ask(installation: int, repository: str, login: str) -> Permission:
        at = forge(installation, repository)
        try:
            return await at.permission(login)
        finally:
            await at.close()

    return ask


class TokenShown(Exception):
    """The right token stood in the address: it belongs into a cookie and out of the address."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks at a page."""

    login: str
    """At GitHub; empty: the operator."""
    form_token: str
    """What forms on this visitor's pages carry, and nobody else's."""

    @property
    def name(self) -> str:
        """For the journal and the audit."""
        return self.login or "operator"


class Door:
    """Lets visitors in, and knows what they may see."""

    def __init__(self, settings: Settings, ask: AskPermission | None = None) -> None:
        self._settings = settings
        self._ask = ask
        self._roles: dict[tuple[str, str], tuple[float, Permission]] = {}
        self._asking = asyncio.Semaphore(ASKED_AT_ONCE)

    def visitor(self, request: Request) -> Visitor:
        """Who asks. Raises `HTTPException` 401 or 403, or `TokenShown`."""
        token = self._settings.secret("operator_token")
        if token and access.same(request.query_params.get("token", ""), token):
            raise TokenShown
        authorization = request.headers.get("authorization", "")
        cookie = request.cookies.get(access.COOKIE, "")
        if token and access.shown(token, authorization=authorization, cookie=cookie):
            return self._named("", token)
        login = sign_in.signed_in(self._settings, request.cookies.get(sign_in.SESSION, ""))
        if login and self._ask is not None:
            return self._named(login, self._settings.secret("github_client_secret"))
        client = request.client.host if request.client else ""
        if not token and access.is_local(client, request.headers):
            return self._named("", _PROCESS_KEY)
        if sign_in.configured(self._settings) and self._ask is not None:
            raise HTTPException(401, "Sign in to see the runs of the repositories you can read.")
        if not token:
            raise HTTPException(
                403,
                "The pages are served to this machine only, because no operator token is set. "
                "Set PATCHWRIGHT_OPERATOR_TOKEN to open them to others.",
            )
        raise HTTPException(
            401,
            "This page needs the operator's token: as a bearer token, or once in the address "
            "as ?token=….",
            {"WWW-Authenticate": "Bearer"},
        )

    def check_form(self, request: Request, visitor: Visitor, form_token: str) -> None:
        """Whether a form comes from one of this visitor's own pages. Raises 403."""
        origin = request.headers.get("origin")
        foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host", "")
        site = request.headers.get("sec-fetch-site", "same-origin")
        if foreign or site not in ("same-origin", "none"):
            raise HTTPException(403, "This form was sent from another site.")
        if not access.same(form_token, visitor.form_token):
            raise HTTPException(403, "The form is out of date. Go back, reload and try again.")

    async def readable(
        self, visitor: Visitor, places: Iterable[tuple[int, str]]
    ) -> frozenset[str] | None:
        """The repositories among these that the visitor may read; None: all there are."""
        if not visitor.login:
            return None
        known = list(places)
        roles = await asyncio.gather(*(self._role(visitor.login, i, r) for i, r in known))
        return frozenset(
            repository
            for (_, repository), role in zip(known, roles, strict=True)
            if role.at_least("read")
        )

    async def may_read(self, visitor: Visitor, run: Run) -> bool:
        """Whether the visitor may see this run."""
        if not visitor.login:
            return True
        role = await self._role(visitor.login, run.installation_id, run.repository)
        return role.at_least("read")

    async def may_steer(self, visitor: Visitor, run: Run) -> bool:
        """Whether the visitor may stop this run and speak to it: whoever may start one."""
        if not visitor.login:
            return True
        role = await self._role(visitor.login, run.installation_id, run.repository)
        return role.at_least(self._settings.label_permission)

    async def _role(self, login: str, installation: int, repository: str) -> Permission:
        key = (login, repository)
        until, role = self._roles.get(key, (0.0, _NONE))
        if until > time.monotonic() or self._ask is None:
            return role
        try:
            async with self._asking:
                role = await self._ask(installation, repository, login)
        except ForgeError:
            return _NONE  # GitHub is away or the App was removed there: nothing is shown
        if len(self._roles) >= MOST_ROLES:
            self._roles.clear()
        self._roles[key] = (time.monotonic() + BELIEVED_S, role)
        return role

    @staticmethod
    def _named(login: str, key: str) -> Visitor:
        return Visitor(login, sign_in.sign(key, f"form {login}"))
