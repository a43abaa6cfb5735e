"""One call of the REST API from request to answer: caller, faults, limits, permission, handler."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tests.doubles.github import graphql
from tests.doubles.github.auth import check, identify
from tests.doubles.github.description.unvalidated import Validator
from tests.doubles.github.description.versions import OLDEST, VERSIONS, answered
from tests.doubles.github.faults import Fault
from tests.doubles.github.moves import placed
from tests.doubles.github.operations import (
    actions,
    app,
    checks,
    fields,
    issues,
    labels,
    pulls,
    repos,
    reviews,
)
from tests.doubles.github.operations.operation import (
    Actor,
    Answer,
    Call,
    GithubError,
    Hooks,
    Operation,
    link_header,
    not_found,
)
from tests.doubles.github.state import Act, Json, Repo, World, stamp

_TABLES = (
    app.table,
    repos.table,
    issues.table,
    fields.table,
    labels.table,
    pulls.table,
    reviews.table,
    actions.table,
    checks.table,
)


def _literal(operation: Operation) -> int:
    return len(re.sub(r"\{\w+\}", "", operation.template))


# The more of a template is literal, the earlier it is tried: refs and paths may contain slashes.
OPERATIONS: tuple[Operation, ...] = tuple(
    sorted((o for table in _TABLES for o in table.operations), key=_literal, reverse=True)
)


GRAPHQL = "/graphql"
CONTENT = (
    "issues/create",
    "issues/create-comment",
    "pulls/create",
    "pulls/create-reply-for-review-comment",
    "pulls/create-review",
    "pulls/create-review-comment",
    "pulls/request-reviewers",
)
"""Operations whose contents are counted: those that notify people."""


def find(method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
    """The operation of a request and the values in its path (still quoted)."""
    for operation in OPERATIONS:
        if operation.method == method:
            match = operation.pattern.fullmatch(path)
            if match:
                return operation, match.groupdict()
    return None


class Api:
    """The REST API as a whole."""

    def __init__(self, world: World, hooks: Hooks, validator: Validator) -> None:
        self._world = world
        self._hooks = hooks
        self._validator = validator

    async def handle(self, request: Request, path: str) -> Response:
        """Answer one request; ``path`` is without the base path and still quoted."""
        world, raw = self._world, await request.body()
        try:
            actor = identify(world, request.headers.get("authorization"))
        except GithubError as error:
            return self._respond(request, error.answer())
        version = request.headers.get("x-github-api-version")
        if version is not None and version not in VERSIONS:
            told = f"{version} is not a valid API version"
            return self._respond(request, GithubError(400, told).answer(), actor)
        if version is None and actor.by_app and path != GRAPHQL:
            self._validator.unpinned(request.method, path)
        place = placed(world, actor, request.method, path, request.url.query)
        if isinstance(place, Answer):
            return self._respond(request, place, actor)
        path, line = place, f"{request.method} {unquote(place)}"
        fault = world.faults.take(line, actor.by_app)
        if fault is not None and fault.kind in {"status", "secondary"}:
            return self._respond(request, _broken(fault), actor)
        if fault is not None and fault.kind == "slow":
            await asyncio.sleep(fault.delay_s)
        if path != "/rate_limit" and not self._spend(actor):
            return self._respond(request, _exhausted(actor), actor)
        if path == GRAPHQL:
            return self._respond(request, self._graphql(actor, raw), actor)
        found = find(request.method, path)
        if found is None:
            self._validator.unknown(request.method, path)
            return self._respond(request, not_found().answer(), actor)
        if actor.by_app and found[0].name in CONTENT and not self._may_create():
            return self._respond(request, _too_much(), actor)
        answer = self._answer(request, found, actor, raw, version or OLDEST)
        if fault is not None and fault.kind == "after":
            answer = _broken(fault)
        if fault is not None and fault.kind == "lost":
            return cut_off()
        return self._respond(request, answer, actor)

    def _graphql(self, actor: Actor, raw: bytes) -> Answer:
        if actor.kind not in {"installation", "user"}:
            return GithubError(401, "Requires authentication").answer()
        try:
            body = json.loads(raw)
        except ValueError:
            return GithubError(400, "Problems parsing JSON").answer()
        if not isinstance(body, dict):
            return GithubError(400, "Body should be a JSON object").answer()
        query, variables = body.get("query") or "", body.get("variables") or {}
        if errors := self._validator.graphql(query, variables, actor.by_app):
            return Answer(200, {"errors": errors})
        name, result = graphql.run(self._world, self._hooks, actor, body)
        if "errors" not in result:
            result = {"data": self._validator.graphql_answer(query, variables, result["data"])}
            login, when = (actor.user or self._world.app.bot).login, stamp(self._world.now())
            sent: Json = {"sent": body.get("variables")}
            act = Act(when, login, actor.by_app, f"graphql/{name}", GRAPHQL, sent)
            self._world.acts.append(act)
        return Answer(200, result)

    def _may_create(self) -> bool:
        """Count a content of the App's; False where there were too many in the last minute."""
        world = self._world
        since = world.now() - timedelta(minutes=1)
        world.made = [made for made in world.made if made > since]
        if world.content_per_minute and len(world.made) >= world.content_per_minute:
            return False
        world.made.append(world.now())
        return True

    def _spend(self, actor: Actor) -> bool:
        limit = self._world.limits[actor.installation_id]
        return actor.kind != "installation" or limit.spend(self._world.now())

    def _answer(
        self,
        request: Request,
        found: tuple[Operation, dict[str, str]],
        actor: Actor,
        raw: bytes,
        version: str,
    ) -> Answer:
        operation, quoted = found
        values = {name: unquote(value) for name, value in quoted.items()}
        query = dict(request.query_params)
        try:
            body = json.loads(raw) if raw.strip() else {}
        except ValueError:
            return GithubError(400, "Problems parsing JSON").answer()
        place = version, operation.method, operation.template
        self._validator.request(*place, query, body)
        try:
            answer = self._run(operation, actor, values, query, body, request)
        except GithubError as error:
            answer = error.answer()
        except KeyError as error:
            answer = GithubError(422, f"Invalid request.\n\n{error} wasn't supplied.").answer()
        answer = Answer(answer.status, answered(answer.body, version), answer.headers, answer.media)
        self._validator.answer(*place, answer)
        if operation.method != "GET" and answer.status < 300:
            self._record(operation, actor, values, body, answer)
        return answer

    def _run(
        self,
        operation: Operation,
        actor: Actor,
        values: dict[str, str],
        query: dict[str, str],
        body: Any,
        request: Request,
    ) -> Answer:
        repo: Repo | None = None
        if "repo" in values:
            repo = self._world.repo(f"{values['owner']}/{values['repo']}")
            if repo is None:
                raise not_found()
        granted = actor.token.permissions if actor.token else {}
        check(operation, actor, repo, granted)
        call = Call(
            world=self._world,
            hooks=self._hooks,
            actor=actor,
            path=values,
            query=query,
            body=body,
            accept=request.headers.get("accept", ""),
            found=repo,
        )
        return operation.handler(call)

    def _record(
        self, operation: Operation, actor: Actor, values: Json, body: Any, answer: Answer
    ) -> None:
        where = operation.template.format(**values)
        login = actor.user.login if actor.user else self._world.app.slug
        known = answer.body if isinstance(answer.body, dict) else {}
        hidden = "token" in known or "pem" in known
        result = {key: known[key] for key in ("id", "number", "html_url", "sha") if key in known}
        detail: Json = {"sent": body, "result": {} if hidden else result}
        when = stamp(self._world.now())
        self._world.acts.append(Act(when, login, actor.by_app, operation.name, where, detail))

    def _respond(self, request: Request, answer: Answer, actor: Actor | None = None) -> Response:
        limit = self._world.limits[actor.installation_id if actor else 0]
        headers = {**answer.headers, **limit.headers(self._world.now())}
        headers["X-GitHub-Media-Type"] = "github.v3; format=json"
        last, cursor = headers.pop("X-Last-Page", None), headers.pop("X-Next-Cursor", None)
        url = f"{self._world.urls.web}{request.url.path}"
        query = dict(request.query_params)
        if last:
            headers["Link"] = link_header(url, query, int(last))
        if cursor:
            headers["Link"] = f'<{url}?cursor={cursor}>; rel="next"'
        if answer.status == 204:
            return Response(None, 204, headers)
        is_text = isinstance(answer.body, str)
        content = answer.body.encode() if is_text else json.dumps(answer.body).encode()
        return Response(content, answer.status, headers, media_type=answer.media)


def cut_off() -> Response:
    """An answer that breaks off: the caller cannot know whether the act was done."""

    async def nothing() -> AsyncIterator[bytes]:
        yield b"{"
        raise ConnectionAbortedError("as asked by a fault of kind 'lost'")

    return StreamingResponse(nothing(), 200, {"Content-Length": "4096"})


def _broken(fault: Fault) -> Answer:
    if fault.kind == "secondary":
        said = "You have exceeded a secondary rate limit. Please wait a few minutes."
        answer = GithubError(403, said).answer()
        return Answer(403, answer.body, {"Retry-After": str(fault.retry_after_s)})
    return GithubError(fault.status, "Server Error").answer()


def _too_much() -> Answer:
    said = (
        "You have exceeded a secondary rate limit and have been temporarily blocked from content "
        "creation. Please retry your request again later."
    )
    return Answer(403, GithubError(403, said).answer().body, {"Retry-After": "60"})


def _exhausted(actor: Actor) -> Answer:
    said = f"API rate limit exceeded for installation ID {actor.installation_id}."
    return GithubError(403, said).answer()
