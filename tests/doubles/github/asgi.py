"""The stand-in GitHub as one ASGI application: API, git, pages and the admin API."""

import asyncio
import inspect
import json
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, quote, urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
)
from starlette.routing import Route

from tests.doubles.github import githttp, pages, uploads
from tests.doubles.github import repository as git
from tests.doubles.github.admin import Admin
from tests.doubles.github.api import GRAPHQL, Api, cut_off
from tests.doubles.github.description.unvalidated import Validator
from tests.doubles.github.hooks import Deliverer
from tests.doubles.github.state import World

_GHES_GRAPHQL = "/api/graphql"
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


class Site:
    """Sends each request to the part that answers it."""

    def __init__(self, world: World, validator: Validator, violations: list[str]) -> None:
        self._world = world
        self._violations = violations
        self._hooks = Deliverer(world, validator.event)
        self._api = Api(world, self._hooks, validator)
        self._git = githttp.GitService(world, self._hooks)
        self._admin = Admin(world, self._hooks, violations)

    def application(self) -> Starlette:
        """The ASGI application."""

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            yield
            await self._hooks.close()

        return Starlette(
            routes=[Route("/{rest:path}", self._serve, methods=_METHODS)], lifespan=lifespan
        )

    async def _serve(self, request: Request) -> Response:
        try:
            return await self._route(request)
        except Exception as error:
            # The client sees a bare 500; a fault of the stand-in must not pass for GitHub's.
            where = traceback.extract_tb(error.__traceback__)[-1]
            told = f"{request.method} {request.url.path}: the stand-in failed: {error!r} at {where}"
            self._violations.append(told)
            raise

    async def _route(self, request: Request) -> Response:
        path = request.scope["raw_path"].decode("latin-1").partition("?")[0]
        if path.startswith("/_admin/"):
            return await self._serve_admin(request, path.removeprefix("/_admin/"))
        if path.endswith("/settings/apps/new"):
            return await self._register(request)
        match = githttp.PATH.fullmatch(path)
        if match:
            return await self._serve_git(request, match["full"], match["what"])
        prefix = self._world.urls.api_prefix
        if prefix and path.startswith(f"{prefix}/"):
            return await self._api.handle(request, path.removeprefix(prefix))
        if path.startswith("/_logs/"):
            return self._log(path)
        if prefix and path == _GHES_GRAPHQL:
            return await self._api.handle(request, GRAPHQL)
        has_token = "authorization" in request.headers
        upload = uploads.serve(self._world, path, dict(request.query_params), has_token)
        if upload is not None:
            if has_token:
                self._violations.append(f"{path.split('/')[1]}: a token was sent for an upload")
            return upload
        page = self._page(path)
        if page is not None:
            return page
        if prefix:
            return PlainTextResponse("Not Found", 404)
        return await self._api.handle(request, path)

    async def _serve_git(self, request: Request, full_name: str, what: str) -> Response:
        if (moved := self._world.moved_repo(full_name)) is not None:
            query = f"?{request.url.query}" if request.url.query else ""
            where = f"{self._world.urls.web}/{moved.full_name}.git/{what}{query}"
            return RedirectResponse(where, 301)
        fault = self._world.faults.take(f"GIT /{full_name}.git/{what}", True)
        if fault is None:
            return await self._git.handle(request, full_name, what)
        if fault.kind in {"status", "secondary"}:
            return PlainTextResponse("as asked", fault.status)
        await asyncio.sleep(fault.delay_s)
        answer = await self._git.handle(request, full_name, what)
        if fault.kind == "after":
            return PlainTextResponse("as asked", fault.status)
        return cut_off() if fault.kind == "lost" else answer

    async def _serve_admin(self, request: Request, action: str) -> Response:
        raw = await request.body()
        try:
            result: Any = self._admin.run(action, json.loads(raw) if raw else {})
            if inspect.isawaitable(result):
                result = await result
        except KeyError as error:
            return JSONResponse({"error": f"{action} needs {error}"}, 400)
        except (ValueError, OSError, git.GitRefused) as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse(result)

    def _page(self, path: str) -> Response | None:
        parts = path.strip("/").split("/")
        if len(parts) != 4 or parts[2] not in {"issues", "pull"}:
            return None
        number = parts[3].removesuffix(".diff")
        repo = self._world.repo("/".join(parts[:2]))
        item = repo.issues.get(int(number)) if repo and number.isdigit() else None
        if repo is None or item is None:
            return None
        if parts[3].endswith(".diff") and item.pull:
            return PlainTextResponse(git.diff(repo.git, item.pull.base_sha, item.pull.head_sha))
        return HTMLResponse(pages.conversation(self._world, repo, item))

    def _log(self, path: str) -> Response:
        """A job's log; like GitHub's, the address itself is the permission."""
        for repo in self._world.repos.values():
            for run in repo.check_runs.values():
                if path == f"/_logs/{repo.id}/{run.id}":
                    return PlainTextResponse(run.log)
        return PlainTextResponse("Not Found", 404)

    async def _register(self, request: Request) -> Response:
        """The manifest flow: as if the person had looked at the form and agreed."""
        fields = parse_qs((await request.body()).decode(errors="replace"))
        text = fields.get("manifest", [""])[0]
        try:
            manifest = json.loads(text)
            target = str(manifest["redirect_url"])
        except (ValueError, KeyError, TypeError):
            return PlainTextResponse("The manifest is not valid.", 422)
        code = self._admin.run("manifest", {"manifest": manifest})["code"]
        pairs = {"code": code, "state": request.query_params.get("state", "")}
        return RedirectResponse(f"{quote(target, safe=':/?=&%')}?{urlencode(pairs)}", 302)
