"""An operation of the API: its path, who may call it, what a call has and what it answers."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.doubles.github.shapes import basic
from tests.doubles.github.state import ROLES, Delivery, Issue, Json, Repo, Token, User, World


@dataclass(frozen=True)
class Answer:
    """What goes back: ``body`` is JSON unless ``media`` says that it is text."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    media: str = "application/json; charset=utf-8"


class GithubError(Exception):
    """An answer of 4xx in GitHub's form."""

    def __init__(
        self, status: int, message: str, errors: Sequence[Json | str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors

    def answer(self) -> Answer:
        """As GitHub writes it."""
        body: Json = {
            "message": self.message,
            "documentation_url": "https://docs.github.com/rest",
            "status": str(self.status),
        }
        if self.errors is not None:
            body["errors"] = list(self.errors)
        return Answer(self.status, body)


def not_found() -> GithubError:
    """404, also for what the caller may not know about."""
    return GithubError(404, "Not Found")


def invalid(resource: str, name: str, code: str, message: str | None = None) -> GithubError:
    """422 for one field."""
    error = {"resource": resource, "field": name, "code": code}
    if message:
        error["message"] = message
    return GithubError(422, "Validation Failed", [error])


@dataclass(frozen=True)
class Actor:
    """Who calls: the App itself (JWT), one of its installation tokens, a person, or nobody."""

    kind: str
    user: User | None = None
    token: Token | None = None

    @property
    def by_app(self) -> bool:
        """Whether it is the App, by whichever credential."""
        return self.kind in {"app", "installation"}

    @property
    def installation_id(self) -> int:
        """The installation that the token is of; 0 for other callers."""
        return self.token.installation.id if self.token else 0


class Hooks(Protocol):
    """Where events go."""

    def emit(self, event: str, repo: Repo | None, sender: User, payload: Json) -> None:
        """Deliver an event to the App, when it is installed and subscribed to it."""

    def redeliver(self, old: Delivery, times: int = 1) -> list[Delivery]:
        """Send a recorded delivery again."""


@dataclass(frozen=True)
class Call:
    """One call of an operation, after it was authenticated and allowed."""

    world: World
    hooks: Hooks
    actor: Actor
    path: dict[str, str]
    query: dict[str, str]
    body: Json
    accept: str
    found: Repo | None

    @property
    def repo(self) -> Repo:
        """The repository that the path names."""
        assert self.found is not None
        return self.found

    @property
    def user(self) -> User:
        """Who acts; the App acts as its bot."""
        return self.actor.user or self.world.app.bot

    def number(self, name: str) -> int:
        """A number of the path; 404 when it is none."""
        text = self.path[name]
        if not text.isdigit():
            raise not_found()
        return int(text)

    def issue(self, name: str = "issue_number") -> Issue:
        """The issue that the path names."""
        item = self.repo.issues.get(self.number(name))
        if item is None:
            raise not_found()
        return item

    def allows(self, *permissions: str) -> bool:
        """Whether an installation token has one of these; a person is judged by role elsewhere."""
        token = self.actor.token
        return token is None or any(grants(token.permissions, p) for p in permissions)

    def has_role(self, role: str) -> bool:
        """Whether the calling person has at least that role; the App's calls always pass."""
        return self.actor.by_app or at_least(self.repo.role_of(self.user), role)

    def emit(self, event: str, action: str, item: Issue | None = None, **payload: Any) -> None:
        """Send an event about this repository; ``item`` puts the issue into it."""
        body: Json = {"action": action}
        if item is not None:
            body["issue"] = basic.issue(self.world, self.repo, item)
        self.hooks.emit(event, self.repo, self.user, body | payload)


Handler = Callable[[Call], Answer]


@dataclass(frozen=True)
class Operation:
    """One operation; ``name`` and ``template`` are GitHub's own, without the base path."""

    name: str
    method: str
    template: str
    handler: Handler
    needs: tuple[str, ...]
    role: str
    by: tuple[str, ...]
    pattern: re.Pattern[str]


_SEGMENTS = {"path": ".*", "ref": ".+", "branch": ".+", "basehead": ".+", "name": ".+"}
_INSTALLED = ("installation", "user")


class Table:
    """The operations of one part of the API."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []

    def add(
        self,
        name: str,
        route: str,
        *,
        needs: str = "metadata:read",
        role: str = "read",
        by: tuple[str, ...] = _INSTALLED,
    ) -> Callable[[Handler], Handler]:
        """Register ``METHOD /template``; ``needs``: permissions of which the token has one."""
        method, _, template = route.partition(" ")

        def register(handler: Handler) -> Handler:
            pattern = _compile(template)
            permissions = tuple(needs.split())
            self.operations.append(
                Operation(name, method, template, handler, permissions, role, by, pattern)
            )
            return handler

        return register


def _compile(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", template)
    text = ""
    for index, part in enumerate(parts):
        if index % 2 == 0:
            text += re.escape(part)
        else:
            text += f"(?P<{part}>{_SEGMENTS.get(part, '[^/]+')})"
    return re.compile(text)


_LEVELS = ("none", "read", "write", "admin")


def grants(permissions: dict[str, str], needed: str) -> bool:
    """Whether permissions such as ``{"issues": "write"}`` contain ``issues:read``."""
    name, _, level = needed.partition(":")
    granted = permissions.get(name, "read" if name == "metadata" else "none")
    return _LEVELS.index(granted) >= _LEVELS.index(level)


def at_least(role: str, needed: str) -> bool:
    """Whether a repository role contains another."""
    return ROLES.index(role) >= ROLES.index(needed)


def paged(call: Call, items: list[Json], wrapper: str | None = None) -> Answer:
    """One page of a list with its Link header; ``wrapper`` names the list inside an object."""
    size = min(max(whole(call.query.get("per_page"), 30), 1), 100)
    page = max(whole(call.query.get("page"), 1), 1)
    last = max((len(items) + size - 1) // size, 1)
    chosen = [
        item for item in items[(page - 1) * size : page * size] if not _is_hidden(call.world, item)
    ]
    body: Any = chosen if wrapper is None else {"total_count": len(items), wrapper: chosen}
    return Answer(200, body, {"X-Last-Page": str(last)} if last > page else {})


def _is_hidden(world: World, item: Json) -> bool:
    author = item.get("user")
    known = world.user(author["login"]) if isinstance(author, dict) else None
    return known is not None and known.hidden


def whole(text: str | None, otherwise: int) -> int:
    """A number of the query; GitHub passes over what is none."""
    return int(text) if text and text.isdecimal() else otherwise


def link_header(url: str, query: dict[str, str], last: int) -> str:
    """The Link header to the pages after this one."""
    page = whole(query.get("page"), 1)

    def target(number: int) -> str:
        pairs = {**query, "page": str(number)}
        return f"{url}?" + "&".join(f"{key}={value}" for key, value in pairs.items())

    return f'<{target(page + 1)}>; rel="next", <{target(last)}>; rel="last"'
