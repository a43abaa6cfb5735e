"""Who calls, and whether they may: JWTs of the App, installation tokens, people's tokens."""

import base64
import binascii

import jwt

from tests.doubles.github.operations.operation import (
    Actor,
    Call,
    GithubError,
    Operation,
    at_least,
    grants,
    not_found,
)
from tests.doubles.github.state import Repo, World

MAX_JWT_S = 660


def identify(world: World, header: str | None) -> Actor:
    """The caller, from the Authorization header of an API request; 401 for a bad credential."""
    if not header:
        return Actor("anonymous")
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "basic":
        value = _password(value)
    elif scheme.lower() not in {"bearer", "token"}:
        raise GithubError(401, "Bad credentials")
    if value.count(".") == 2:
        return _app(world, value)
    return _holder(world, value)


def identify_git(world: World, header: str | None) -> Actor:
    """The caller of git over HTTP: basic authentication with a token as the password."""
    if not header:
        return Actor("anonymous")
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        raise GithubError(401, "Bad credentials")
    return _holder(world, _password(value))


def _password(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError) as error:
        raise GithubError(401, "Bad credentials") from error


def _app(world: World, text: str) -> Actor:
    """A JWT is held against real time, for its maker cannot know of this world's moved clock."""
    try:
        claims = jwt.decode(
            text,
            world.app.public_key_pem,
            algorithms=["RS256"],
            options={"require": ["iss", "iat", "exp"], "verify_iss": False, "verify_aud": False},
        )
    except jwt.ExpiredSignatureError as error:
        raise GithubError(
            401, "'Expiration time' claim ('exp') must be a numeric value in the future"
        ) from error
    except jwt.InvalidTokenError as error:
        raise GithubError(401, "A JSON web token could not be decoded") from error
    if claims["exp"] - claims["iat"] > MAX_JWT_S:
        raise GithubError(401, "'Expiration time' claim ('exp') is too far in the future")
    if str(claims["iss"]) != str(world.app.id):
        raise GithubError(401, "'Issuer' claim ('iss') must be the id of the App")
    return Actor("app")


def _holder(world: World, value: str) -> Actor:
    token = world.tokens.get(value)
    if token is not None:
        if token.expires_at <= world.now():
            raise GithubError(401, "Bad credentials")
        if token.installation.suspended_at is not None:
            raise GithubError(403, "This installation has been suspended")
        if token.installation.id not in world.installations:
            raise GithubError(401, "Bad credentials")
        return Actor("installation", world.app.bot, token)
    for person in world.users.values():
        # Another App's bot acts like a person here; the App under test has its own tokens.
        acts = person.kind == "User" or (person.kind == "Bot" and person is not world.app.bot)
        if person.token == value and acts:
            return Actor("user", person)
    raise GithubError(401, "Bad credentials")


def can_see(actor: Actor, repo: Repo) -> bool:
    """Whether the caller may know that the repository exists."""
    if not repo.private:
        return True
    if actor.token is not None:
        chosen = actor.token.repo_ids is None or repo.id in actor.token.repo_ids
        return chosen and actor.token.installation.covers(repo)
    return actor.user is not None and repo.role_of(actor.user) != "none"


def check(operation: Operation, actor: Actor, repo: Repo | None, granted: dict[str, str]) -> None:
    """401, 403 or 404 as GitHub answers when the caller may not do this."""
    if actor.kind == "anonymous" and (operation.method != "GET" or "app" in operation.by):
        if operation.by != ("anyone",):
            raise GithubError(401, "Requires authentication")
    elif actor.kind not in (*operation.by, "anonymous") and operation.by != ("anyone",):
        if "app" in operation.by:
            raise GithubError(401, "A JSON web token could not be decoded")
        raise GithubError(403, "Resource not accessible by integration")
    if repo is None or actor.kind == "app":
        return
    if not can_see(actor, repo):
        raise not_found()
    if actor.token is not None:
        _check_token(operation, actor, repo, granted)
    elif actor.user is not None and not at_least(repo.role_of(actor.user), operation.role):
        raise GithubError(403, "Must have admin rights to Repository.")
    if repo.archived and operation.method != "GET":
        raise GithubError(403, "Repository was archived so is read-only.")


def _check_token(operation: Operation, actor: Actor, repo: Repo, granted: dict[str, str]) -> None:
    """A public repository outside of the installation can be read, and no more."""
    assert actor.token is not None
    chosen = actor.token.repo_ids is None or repo.id in actor.token.repo_ids
    inside = chosen and actor.token.installation.covers(repo)
    reading = operation.method == "GET" and not repo.private
    if not inside and reading:
        return
    if not inside or not any(grants(granted, need) for need in operation.needs):
        raise GithubError(403, "Resource not accessible by integration")


def require_role(call: Call, role: str) -> None:
    """403 for a person of a lesser role, where it depends on what is asked."""
    if not call.has_role(role):
        raise GithubError(403, f"You must have {role} permission to do this.")


def may_git(world: World, actor: Actor, repo: Repo, pushing: bool) -> bool:
    """Whether git may fetch, or push; whoever may not see the repository is told of none."""
    if actor.token is not None:
        chosen = actor.token.repo_ids is None or repo.id in actor.token.repo_ids
        inside = chosen and actor.token.installation.covers(repo)
        need = "contents:write" if pushing else "contents:read"
        allowed = inside and grants(actor.token.permissions, need)
        return allowed or (not pushing and not repo.private)
    if actor.user is None:
        return not pushing and not repo.private
    return at_least(repo.role_of(actor.user), "write" if pushing else "read")
