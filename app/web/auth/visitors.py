"""Who may see which pages, and who may steer runs.

The operator (by token) sees all. Who signed in with GitHub
sees the runs of repositories in which GitHub gives them a role, and steers those of repositories
whose own file would take commands from that role. Both are asked for with the App's own identity
and believed for a few minutes: no token of a person is kept.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from fastapi import HTTPException, Request

from app.github.errors import ForgeError
from app.github.forge import Forge
from app.github.records import Permission, Role
from app.repo_config.effective import read_effective_config
from app.settings.schema import Settings
from app.storage.records import Run
from app.web.auth import github_sign_in, operator_token
from app.web.auth.ended_sessions import IsEnded

ROLE_CACHE_S = 300.0
"""How long GitHub's answer about a role is cached."""
CONCURRENT_REQUESTS = 8
MOST_KNOWN = 10_000

K = TypeVar("K")
V = TypeVar("V")

_NONE = Permission("none", "none")


@dataclass(frozen=True, slots=True)
class RoleSource:
    """Where access control learns people's roles. Both raise `ForgeError`."""

    role_of: Callable[[int, str, str], Awaitable[Permission]]
    """From an installation, a repository and a login: what that person may do there."""
    required_role: Callable[[int, str], Awaitable[Role]]
    """From an installation and a repository: the least role that steers runs there."""


def roles_from(settings: Settings, forge: Callable[[int, str], Forge]) -> RoleSource:
    """Roles as GitHub tells them to the App's own installations."""

    async def role_of(installation: int, repository: str, login: str) -> Permission:
        at = forge(installation, repository)
        try:
            return await at.permission(login)
        finally:
            await at.close()

    async def required_role(installation: int, repository: str) -> Role:
        at = forge(installation, repository)
        try:
            return (await read_effective_config(settings, at)).permissions.command
        finally:
            await at.close()

    return RoleSource(role_of, required_role)


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


class AccessControl:
    """Admits visitors, and knows what they may see."""

    def __init__(
        self, settings: Settings, role_source: RoleSource | None, is_ended: IsEnded
    ) -> None:
        self._settings = settings
        self._role_source = role_source
        self._is_ended = is_ended
        self._roles: dict[tuple[str, str], tuple[float, Permission]] = {}
        self._needed: dict[str, tuple[float, Role]] = {}
        self._asking = asyncio.Semaphore(CONCURRENT_REQUESTS)

    def visitor(self, request: Request) -> Visitor:
        """Who asks. Raises `HTTPException` 401 or 403, or `TokenInAddress`."""
        token = self._settings.secret("operator_token")
        if operator_token.shows_token(request, token, self._is_ended):
            return self._visitor_of("", token)
        cookie = request.cookies.get(github_sign_in.SESSION, "")
        login = github_sign_in.login_of_cookie(self._settings, cookie)
        if login and self._role_source is not None and not self._is_ended(cookie):
            return self._visitor_of(login, self._settings.secret("github_client_secret"))
        if github_sign_in.sign_in_configured(self._settings) and self._role_source is not None:
            raise HTTPException(401, "Sign in to see the runs of the repositories you can read.")
        raise operator_token.token_required()

    def check_form(self, request: Request, visitor: Visitor, form_token: str) -> None:
        """Whether a form comes from one of this visitor's own pages. Raises 403."""
        operator_token.check_own_site(request)
        if not operator_token.equal_in_constant_time(form_token, visitor.form_token):
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
        """Whether the visitor may steer this run: the same people who may do so by a comment."""
        if not visitor.login:
            return True
        role_source, installation, repository = (
            self._role_source,
            run.installation_id,
            run.repository,
        )
        role = await self._role(visitor.login, installation, repository)
        if role_source is None or not role.at_least("triage"):  # no repository can ask for less
            return False
        required_role = await self._cached(
            self._needed, repository, lambda: role_source.required_role(installation, repository)
        )
        return required_role is not None and role.at_least(required_role)

    async def _role(self, login: str, installation: int, repository: str) -> Permission:
        role_source = self._role_source
        if role_source is None:
            return _NONE
        role = await self._cached(
            self._roles,
            (login, repository),
            lambda: role_source.role_of(installation, repository, login),
        )
        return role or _NONE

    async def _cached(
        self, known: dict[K, tuple[float, V]], key: K, fetch: Callable[[], Awaitable[V]]
    ) -> V | None:
        """GitHub's cached or current answer; None if there is none, which denies access."""
        if key in known and known[key][0] > time.monotonic():
            return known[key][1]
        try:
            async with self._asking:
                answer = await fetch()
        except ForgeError:
            return None  # GitHub is unavailable or the App was removed there
        if len(known) >= MOST_KNOWN:
            known.clear()
        known[key] = (time.monotonic() + ROLE_CACHE_S, answer)
        return answer

    @staticmethod
    def _visitor_of(login: str, key: str) -> Visitor:
        return Visitor(login, github_sign_in.sign(key, f"form {login}"))
