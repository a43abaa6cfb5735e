"""Logs that an issue links to: CI jobs of its own repository, and attached text files.

The links are found by pure functions. A file is fetched without any credential, from the forge's
own host and wherever that redirects to by https, in small bounded pieces.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import httpx

from agent.task import ATTACHED, Attachment
from app.github.records import FailedCheck
from app.runs.active_run import ActiveRun

MOST_LINKS = 5
MOST_BYTES = 20 * 1024**2
MOST_REDIRECTS = 3
SUFFIXES = ("log", "txt", "out", "err", "json", "xml", "trace")


@dataclass(frozen=True, slots=True)
class Links:
    """What an issue's texts link to, each once, in order."""

    checks: tuple[int, ...] = ()
    """Jobs of the repository's own CI; a job's number is its check run's."""
    files: tuple[str, ...] = ()
    """Addresses of attached files."""


def links(texts: Iterable[str], web_url: str, repository: str) -> Links:
    """The CI jobs and attachments that texts link to. Other repositories' jobs are left alone."""
    web, repo = re.escape(web_url.rstrip("/")), re.escape(repository)
    job = re.compile(rf"{web}/{repo}/actions/runs/\d{{1,20}}/job/(\d{{1,18}})", re.IGNORECASE)
    suffix = "|".join(SUFFIXES)
    file = re.compile(
        rf"{web}/(?:user-attachments|{repo})/files/\d{{1,20}}/[\w.%-]{{1,200}}\.(?:{suffix})\b",
        re.IGNORECASE,
    )
    checks: dict[int, None] = {}
    files: dict[str, None] = {}
    for text in texts:
        checks |= dict.fromkeys(int(number) for number in job.findall(text))
        files |= dict.fromkeys(file.findall(text))
    return Links(tuple(checks)[:MOST_LINKS], tuple(files)[:MOST_LINKS])


async def fetch_file(client: httpx.AsyncClient, url: str) -> bytes | None:
    """An attached file's bytes; None if it cannot be fetched, is too large or is not text.

    No credential goes out. A redirect is followed to https addresses only, or within the host.
    """
    home = urlsplit(url).netloc
    for _ in range(MOST_REDIRECTS + 1):
        try:
            async with client.stream("GET", url, follow_redirects=False) as answer:
                if answer.is_redirect:
                    url = urljoin(url, answer.headers.get("location", ""))
                    parts = urlsplit(url)
                    if parts.scheme != "https" and parts.netloc != home:
                        return None
                    continue
                if answer.status_code != 200:
                    return None
                data = b""
                async for piece in answer.aiter_bytes():
                    data += piece
                    if len(data) > MOST_BYTES:
                        return None
                return None if b"\0" in data[:8192] else data
        except (httpx.HTTPError, httpx.InvalidURL, ValueError):
            return None
    return None


async def ci_logs(run: ActiveRun, checks: tuple[int, ...]) -> tuple[Attachment, ...]:
    """Store the logs of these checks with the run, if they have any."""
    kept = []
    for check in checks:
        data = await run.forge.check_log(check)
        if data:
            log = Attachment(
                id=f"{ATTACHED}ci-{check}", name=f"log of the failed check {check}", size=len(data)
            )
            run.store.put_log(run.record.id, log.id, data)
            kept.append(log)
    return tuple(kept)


def web_location(run: ActiveRun) -> tuple[str, str]:
    """The forge's address for people, and the repository's name there."""
    return run.services.settings.github_web_url, run.record.repository


async def linked_files(run: ActiveRun, urls: tuple[str, ...]) -> tuple[Attachment, ...]:
    """Store the files attached to the issue with the run, as far as they can be fetched."""
    kept = []
    async with httpx.AsyncClient(timeout=30) as client:
        for number, url in enumerate(urls, 1):
            data = await fetch_file(client, url)
            if data is not None:
                name = url.rsplit("/", 1)[1]
                log = Attachment(id=f"{ATTACHED}{number}", name=name, size=len(data))
                run.store.put_log(run.record.id, log.id, data)
                kept.append(log)
    return tuple(kept)


async def keep_check_log(run: ActiveRun, check: FailedCheck) -> str:
    """Store a failed check's log with the run; returns its id, empty if there is none."""
    data = await run.forge.check_log(check.id)
    if not data:
        return ""
    run.store.put_log(run.record.id, f"{ATTACHED}ci-{check.id}", data)
    return f"{ATTACHED}ci-{check.id}"
