"""git over smart HTTP, by git's own ``git http-backend``."""

import asyncio
import re

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from tests.doubles.github import repository as git
from tests.doubles.github.auth import can_see, identify_git, may_git
from tests.doubles.github.operations.operation import Actor, GithubError, Hooks
from tests.doubles.github.pushes import compare_refs, refs_changed
from tests.doubles.github.state import Act, Repo, World, stamp

PATH = re.compile(
    r"/(?P<full>[^/]+/[^/]+?)(\.git)?/(?P<what>info/refs|git-upload-pack|git-receive-pack)"
)


class GitService:
    """Serves the bare repositories; pushes move pull requests and send events."""

    def __init__(self, world: World, hooks: Hooks) -> None:
        self._world = world
        self._hooks = hooks
        self._pushing: dict[int, asyncio.Lock] = {}

    async def handle(self, request: Request, full_name: str, what: str) -> Response:
        """Answer one request of git."""
        repo = self._world.repo(full_name)
        service = request.query_params.get("service", what)
        pushing = service == "git-receive-pack"
        try:
            actor = identify_git(self._world, request.headers.get("authorization"))
        except GithubError as error:
            return _ask(error.message)
        refusal = self._refusal(actor, repo, pushing)
        if refusal is not None or repo is None:
            return refusal or PlainTextResponse("Repository not found.", 404)
        if what != "git-receive-pack":
            return await self._backend(request, repo, what, actor)
        lock = self._pushing.setdefault(repo.id, asyncio.Lock())
        async with lock:
            before = git.refs(repo.git)
            answer = await self._backend(request, repo, what, actor)
            moves = compare_refs(before, git.refs(repo.git))
        who = actor.user or self._world.app.bot
        for name, (old, new) in moves.items():
            detail = {"ref": name, "before": old, "after": new}
            when = stamp(self._world.now())
            self._world.acts.append(
                Act(when, who.login, actor.by_app, "git/push", repo.full_name, detail)
            )
        if moves:
            refs_changed(self._world, self._hooks, repo, who, moves)
        return answer

    def _refusal(self, actor: Actor, repo: Repo | None, pushing: bool) -> Response | None:
        if repo is None or not can_see(actor, repo):
            if actor.kind == "anonymous":
                return _ask("Repository not found.")
            return PlainTextResponse("Repository not found.", 404)
        if not may_git(self._world, actor, repo, pushing):
            if actor.kind == "anonymous":
                return _ask("Authentication required.")
            return PlainTextResponse("Write access to repository not granted.", 403)
        if pushing and repo.archived:
            return PlainTextResponse("This repository was archived so it is read-only.", 403)
        return None

    async def _backend(self, request: Request, repo: Repo, what: str, actor: Actor) -> Response:
        body = await request.body()
        variables = git.environment() | {
            "GIT_PROJECT_ROOT": str(repo.git),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": f"/{what}",
            "REQUEST_METHOD": request.method,
            "QUERY_STRING": request.url.query,
            "CONTENT_TYPE": request.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": request.headers.get("content-encoding", ""),
            "GIT_PROTOCOL": request.headers.get("git-protocol", ""),
            "REMOTE_USER": actor.user.login if actor.user else "",
            "REMOTE_ADDR": "127.0.0.1",
        }
        process = await asyncio.create_subprocess_exec(
            "git",
            *[part for name in sorted(repo.protected_branches) for part in _protect(name)],
            "http-backend",
            env=variables,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate(body)
        if process.returncode != 0:
            return PlainTextResponse(err.decode(errors="replace") or "git failed", 500)
        return _from_cgi(out)


def _protect(branch: str) -> tuple[str, str]:
    """git refuses pushes to hidden refs; a protected branch is one here."""
    return "-c", f"receive.hideRefs=refs/heads/{branch}"


def _ask(text: str) -> Response:
    headers = {"WWW-Authenticate": 'Basic realm="GitHub"'}
    return PlainTextResponse(text, 401, headers)


def _from_cgi(out: bytes) -> Response:
    head, _, body = out.partition(b"\r\n\r\n")
    status, headers = 200, {}
    for line in head.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(": ")
        if name.lower() == "status":
            status = int(value.split()[0])
        else:
            headers[name] = value
    return Response(body, status, headers)
