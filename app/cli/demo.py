"""`patchwright demo`: the whole path on one machine, with a stand-in for GitHub.

Nothing here knows the bug: a repository folder and an issue text go in, and what comes out is what
the service did. The stand-in and the service are separate processes; this one only plays the
person who labels the issue, and watches.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.markdown import Markdown
from rich.syntax import Syntax

from agent.journal.events import Recorded
from app.journal_view.html import trace_page
from app.journal_view.terminal import progress_line

ROOT = Path(__file__).resolve().parent.parent.parent
DEFAULT = ROOT / "tests" / "repos"
DOUBLE = "tests.doubles.github"
REPOSITORY = "acme/{name}"
WAIT_S = 1800.0


class DemoFailed(Exception):
    """The demo could not run; the message says what to do."""


@dataclass(frozen=True, slots=True)
class StandIn:
    """The running stand-in GitHub, as a person with a browser would use it."""

    http: httpx.AsyncClient
    web: str
    api: str
    token: str
    service: str
    """The service's address."""
    operator_token: str

    async def page(self, path: str, **parameters: Any) -> httpx.Response:
        """A page of the service, as its operator sees it."""
        headers = {"Authorization": f"Bearer {self.operator_token}"}
        return await self.http.get(f"{self.service}{path}", params=parameters, headers=headers)

    async def admin(self, action: str, **body: Any) -> Any:
        """What only the owner of the stand-in may do."""
        answer = await self.http.post(f"{self.web}/_admin/{action}", json=body)
        answer.raise_for_status()
        return answer.json()

    async def rest(self, method: str, path: str, body: Any = None) -> Any:
        """GitHub's REST API as the maintainer."""
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = await self.http.request(method, f"{self.api}{path}", json=body, headers=headers)
        answer.raise_for_status()
        return answer.json()


async def run_demo(example: Path | None, console: Console, *, keep: bool = False) -> bool:
    """Label an issue and watch; True if that led to a proven pull request.

    `example` is a folder with `repo/` and `issue.md`. Raises `DemoFailed`.
    """
    if not (ROOT / "tests" / "doubles" / "github").is_dir():
        raise DemoFailed("the demo needs a checkout of Patchwright: clone it, then `make demo`")
    folder = example or default_example()
    issue = (folder / "issue.md").read_text("utf-8").strip()
    title, _, body = issue.partition("\n")
    state_dir = Path(tempfile.mkdtemp(prefix="patchwright-demo-"))
    console.rule("Patchwright demo")
    async with running_services(state_dir, console) as standin:
        repository = REPOSITORY.format(name=folder.name.replace("_", "-"))
        await standin.admin("create-repo", repo=repository, folder=str(folder / "repo"))
        await standin.admin("role", repo=repository, login="maintainer", role="triage")
        path = f"/repos/{repository}/issues"
        opened = await standin.rest("POST", path, {"title": title.lstrip("# "), "body": body})
        number = opened["number"]
        console.print(f"Issue #{number} in {repository}: {title.lstrip('# ')}", markup=False)
        await standin.rest("POST", f"{path}/{number}/labels", {"labels": ["patchwright"]})
        console.print("Labelled; GitHub (the stand-in) sends the webhook.\n")
        run_id, journal = await watch(standin, console)
        proven = await show_result(standin, repository, number, console)
        page = state_dir / "run.html"
        page.write_text(trace_page(title.lstrip("# "), journal), "utf-8")
        address = f"{standin.service}/runs/{run_id}?token={standin.operator_token}"
        console.print(f"Run page: {address}", highlight=False, soft_wrap=True)
        console.print(f"Saved as: {page}", highlight=False, soft_wrap=True)
        if keep or (sys.stdin.isatty() and sys.stdout.isatty()):
            console.print("The services keep running until you press Enter.")
            await asyncio.to_thread(sys.stdin.readline)
        else:
            console.print("The services stop now; `patchwright demo --keep` keeps them running.")
    return proven


def default_example() -> Path:
    """The first example that is marked as showing the main path."""
    for meta in sorted(DEFAULT.glob("*/meta.json")):
        if json.loads(meta.read_text("utf-8")).get("demo"):
            return meta.parent
    raise DemoFailed(f"there is no example under {DEFAULT}; name one with --repository")


@asynccontextmanager
async def running_services(state_dir: Path, console: Console) -> AsyncIterator[StandIn]:
    """The stand-in GitHub and the service, each its own process, stopped at the end."""
    port = free_port()
    service = f"http://127.0.0.1:{port}"
    key, secret = state_dir / "app.pem", state_dir / "webhook-secret"
    operator_token = secrets.token_urlsafe(24)
    double = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", DOUBLE, "--root", str(state_dir / "github"), "--private-key", str(key)),
        *("--webhook-url", f"{service}/webhooks/github"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    processes = [double]
    try:
        known = await first_line(double)
        secret.touch(mode=0o600)
        secret.write_text(known["webhook_secret"])
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("PATCHWRIGHT_")},
            "PATCHWRIGHT_STATE_DIR": str(state_dir / "state"),
            "PATCHWRIGHT_PORT": str(port),
            "PATCHWRIGHT_PUBLIC_URL": service,
            "PATCHWRIGHT_OPERATOR_TOKEN": operator_token,
            "PATCHWRIGHT_GITHUB_API_URL": known["url"],
            "PATCHWRIGHT_GITHUB_WEB_URL": known["git_url"],
            "PATCHWRIGHT_GITHUB_APP_ID": str(known["app_id"]),
            "PATCHWRIGHT_ONBOARDING": "false",  # the person in it goes straight to the issue
            "PATCHWRIGHT_GITHUB_PRIVATE_KEY_FILE": str(key),
            "PATCHWRIGHT_GITHUB_WEBHOOK_SECRET_FILE": str(secret),
        }
        with (state_dir / "service.log").open("wb") as log:
            processes.append(
                await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "app", "serve"),
                    cwd=ROOT,
                    env=environment,
                    stdout=log,
                    stderr=asyncio.subprocess.STDOUT,
                )
            )
        async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
            await until_ready(http, f"{service}/readyz", processes[1], state_dir / "service.log")
            console.print(f"Service and worker: {service}", highlight=False)
            console.print(f"Stand-in GitHub:    {known['git_url']}", highlight=False)
            answer = await http.post(
                f"{known['git_url']}/_admin/user", json={"login": "maintainer"}
            )
            yield StandIn(
                http=http,
                web=known["git_url"],
                api=known["url"],
                token=answer.json()["token"],
                service=service,
                operator_token=operator_token,
            )
    finally:
        for process in reversed(processes):
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def first_line(process: asyncio.subprocess.Process) -> dict[str, Any]:
    """What the stand-in reports about itself when it starts."""
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise DemoFailed("the stand-in GitHub did not start; see its message above")
    known: dict[str, Any] = json.loads(line)
    return known


async def until_ready(
    http: httpx.AsyncClient, url: str, process: asyncio.subprocess.Process, log: Path
) -> None:
    """Wait for the service to say that it is ready."""
    deadline = asyncio.get_running_loop().time() + 60
    while asyncio.get_running_loop().time() < deadline:
        if process.returncode is not None:
            break
        try:
            if (await http.get(url)).status_code == 200:
                return
        except httpx.TransportError:
            pass
        await asyncio.sleep(0.2)
    raise DemoFailed(f"the service did not start:\n{log.read_text('utf-8')[-2000:]}")


async def watch(standin: StandIn, console: Console) -> tuple[str, list[Recorded]]:
    """Print the run's events as they come, until it has ended; returns its id and journal."""
    deadline = asyncio.get_running_loop().time() + WAIT_S
    run_id, after = "", -1
    journal: list[Recorded] = []
    while asyncio.get_running_loop().time() < deadline:
        if not run_id:
            found = re.search(r'href="/runs/([a-z0-9]+)"', (await standin.page("/runs")).text)
            run_id = found[1] if found else ""
        else:
            answer = await standin.page(f"/runs/{run_id}/events", after=after)
            for item in answer.json()["events"]:
                entry = Recorded.model_validate(item)
                journal.append(entry)
                after = entry.seq
                if line := progress_line(entry):
                    console.print(line, markup=False, highlight=False, soft_wrap=True)
                if entry.event.type == "run_ended":
                    return run_id, journal
        await asyncio.sleep(0.3)
    raise DemoFailed(f"the run did not end within {WAIT_S / 60:.0f} minutes")


async def show_result(standin: StandIn, repository: str, number: int, console: Console) -> bool:
    """The pull request's body and diff; without one, what the bot said on the issue."""
    pulls = await standin.rest("GET", f"/repos/{repository}/pulls?state=all")
    if not pulls:
        comments = await standin.rest("GET", f"/repos/{repository}/issues/{number}/comments")
        for comment in comments:
            console.print(Markdown(comment["body"]))
        return False
    pull = pulls[0]
    console.print()
    console.rule(f"Pull request #{pull['number']}: {pull['title']}")
    console.print(Markdown(pull["body"]))
    diff = await standin.http.get(f"{standin.web}/{repository}/pull/{pull['number']}.diff")
    console.rule("Diff")
    console.print(Syntax(diff.text, "diff", background_color="default"))
    console.print(f"Pull request: {pull['html_url']}", highlight=False)
    return not pull["draft"]


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
