"""Who may see which pages, and who may steer runs.

The operator (by token) sees all. Who signed in with GitHub
sees the runs of repositories in which GitHub gives them a role, and steers those of repositories
whose own file would take commands from that role. Both are asked for with the App's own identity
and believed for a few minutes: no token of a person is kept.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal, TypeVar

from fastapi import HTTPException, Request

from app.github.errors import ForgeError
from app.github.forge import Forge
from app.github.records import Permission, Role
from app.repo_config.effective import read_effective_config
from app.settings.schema import Settings
from app.storage.records import Run
from app.web.auth import github_sign_in, operator_token
from app.web.auth.ended_sessions import IsEnded
from app.web.auth.github_sign_in import Account

ROLE_CACHE_S = 300.0
"""How long GitHub's answer about a role is cached."""
CONCURRENT_REQUESTS = 8
MOST_KNOWN = 10_000

K = TypeVar("K")
V = TypeVar("V")

_NONE = Permission("none", "none")


@dataclass(frozen=True, slots=True)
class Place:
    """A repository that has runs."""

    installation_id: int
    repository: str
    """`owner/name` as last known."""
    repository_id: int
    """What tells it from others, also from a later one of the same name."""
    has_private_runs: bool = False
    """Whether some of its runs are of a time when it was private, and nobody opened their pages."""
    is_public: bool = False
    """Whether it is known to be public now; False: GitHub has to be asked."""


def place_of(run: Run) -> Place:
    """Where a run is."""
    return Place(
        run.installation_id,
        run.repository,
        run.repository_id,
        has_private_runs=run.visibility in ("private", "asked"),
        is_public=run.visibility == "asked",
    )


@dataclass(frozen=True, slots=True)
class ReadableRuns:
    """Which runs a visitor may see, by their repositories' ids."""

    whole: frozenset[int]
    """Repositories of which all runs may be seen."""
    without_private: frozenset[int]
    """Repositories that are public now: their runs of a private time may not be seen."""


@dataclass(frozen=True, slots=True)
class RoleSource:
    """Where access control learns people's roles. All raise `ForgeError`."""

    role_of: Callable[[Place, Account], Awaitable[Permission]]
    """What somebody may do in a repository."""
    required_role: Callable[[Place], Awaitable[Role]]
    """From a repository: the least role that steers runs there."""
    is_private: Callable[[Place], Awaitable[bool]]
    """Whether a repository is private now."""


def roles_from(settings: Settings, forge: Callable[[int, str, int], Forge]) -> RoleSource:
    """Roles as GitHub tells them to the App's own installations."""

    @asynccontextmanager
    async def at(place: Place) -> AsyncIterator[Forge]:
        opened = forge(place.installation_id, place.repository, place.repository_id)
        try:
            yield opened
        finally:
            await opened.close()

    async def role_of(place: Place, account: Account) -> Permission:
        async with at(place) as there:
            return await there.permission(account.login, user_id=account.id)

    async def required_role(place: Place) -> Role:
        async with at(place) as there:
            return (await read_effective_config(settings, there)).permissions.command

    async def is_private(place: Place) -> bool:
        async with at(place) as there:
            return (await there.repository()).private

    return RoleSource(role_of, required_role, is_private)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks at a page."""

    login: str
    """At GitHub; empty: the operator."""
    form_token: str
    """What forms on this visitor's pages carry, and nobody else's."""
    account_id: int = 0
    """At GitHub; 0: the operator, or not known."""

    @property
    def account(self) -> Account:
        """The account at GitHub."""
        return Account(self.login, self.account_id)

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
        self._roles: dict[tuple[Account, int], tuple[float, Permission]] = {}
        self._needed: dict[int, tuple[float, Role]] = {}
        self._private: dict[int, tuple[float, bool]] = {}
        self._asking = asyncio.Semaphore(CONCURRENT_REQUESTS)

    def visitor(self, request: Request) -> Visitor:
        """Who asks. Raises `HTTPException` 401 or 403, or `TokenInAddress`."""
        token = self._settings.secret("operator_token")
        if operator_token.shows_token(request, token, self._is_ended):
            return self._visitor_of("", token)
        cookie = request.cookies.get(github_sign_in.SESSION, "")
        account = github_sign_in.account_of_cookie(self._settings, cookie)
        if account.login and self._role_source is not None and not self._is_ended(cookie):
            key = self._settings.secret("github_client_secret")
            return self._visitor_of(account.login, key, account.id)
        if github_sign_in.sign_in_configured(self._settings) and self._role_source is not None:
            raise HTTPException(401, "Sign in to see the runs of the repositories you can read.")
        raise operator_token.token_required()

    def check_form(self, request: Request, visitor: Visitor, form_token: str) -> None:
        """Whether a form comes from one of this visitor's own pages. Raises 403."""
        operator_token.check_own_site(request)
        if not operator_token.equal_in_constant_time(form_token, visitor.form_token):
            raise HTTPException(403, "The form is out of date. Go back, reload and try again.")

    async def readable(self, visitor: Visitor, places: Iterable[Place]) -> ReadableRuns | None:
        """The runs in these repositories that the visitor may read; None: all there are."""
        if not visitor.login:
            return None
        known = list(places)
        seen = await asyncio.gather(*(self._seen(visitor.account, place) for place in known))
        by_seen = {
            which: frozenset(
                p.repository_id for p, s in zip(known, seen, strict=True) if s == which
            )
            for which in ("whole", "without private")
        }
        return ReadableRuns(by_seen["whole"], by_seen["without private"])

    async def may_read(self, visitor: Visitor, run: Run) -> bool:
        """Whether the visitor may see this run."""
        return not visitor.login or await self._seen(visitor.account, place_of(run)) == "whole"

    async def may_steer(self, visitor: Visitor, run: Run) -> bool:
        """Whether the visitor may steer this run: the same people who may do so by a comment."""
        if not visitor.login:
            return True
        role_source, place = self._role_source, place_of(run)
        role = await self._role(visitor.account, place)
        if role_source is None or not role.at_least("triage"):  # no repository can ask for less
            return False
        required_role = await self._cached(
            self._needed, run.repository_id, lambda: role_source.required_role(place)
        )
        return required_role is not None and role.at_least(required_role)

    async def may_open(self, visitor: Visitor, run: Run) -> bool:
        """Whether the visitor may open the pages of a private time: who may make it public."""
        if not visitor.login:
            return True
        return (await self._role(visitor.account, place_of(run))).at_least("admin")

    async def _seen(
        self, account: Account, place: Place
    ) -> Literal["nothing", "whole", "without private"]:
        """Which of a repository's runs somebody may see.

        To read a public repository is nobody's privilege, so it shows nothing of a private time.
        """
        role = await self._role(account, place)
        if not role.at_least("read"):
            return "nothing"
        if not place.has_private_runs or role.at_least("triage"):
            return "whole"
        source = self._role_source
        if source is None or place.is_public:
            return "without private"
        private = await self._cached(
            self._private, place.repository_id, lambda: source.is_private(place)
        )
        return "whole" if private else "without private"

    async def _role(self, account: Account, place: Place) -> Permission:
        role_source = self._role_source
        if role_source is None:
            return _NONE
        role = await self._cached(
            self._roles,
            (account, place.repository_id),
            lambda: role_source.role_of(place, account),
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
    def _visitor_of(login: str, key: str, account_id: int = 0) -> Visitor:
        return Visitor(login, github_sign_in.sign(key, f"form {login}"), account_id)
