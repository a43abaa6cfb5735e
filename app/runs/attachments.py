"""Logs and images that an issue links to, fetched and kept with its run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpx

from agent.journal.events import AttemptStarted
from agent.model import Picture
from agent.task import ATTACHED, IMAGE, Attachment, Issue
from app.attachments.fetch import Origin, fetch_image, fetch_text
from app.attachments.images import ImageRefused, make_safe
from app.attachments.links import ImageLink, links, signed_address
from app.git.files import first_file
from app.git.mirror import Mirror
from app.github.errors import ForgeAway, ForgeError, RateLimited
from app.github.records import FailedCheck
from app.runs.active_run import ISSUE_LOG, ActiveRun
from app.runs.feedback import LaterImages
from app.telemetry import logs

_log = logs.get(__name__)


async def ci_logs(run: ActiveRun, checks: tuple[int, ...]) -> tuple[Attachment, ...]:
    """Store the logs of these checks with the run, if they have any."""
    kept = []
    for check in checks:
        data = await _check_log(run, check)
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


def origin_of(run: ActiveRun) -> Origin:
    """Where a run's attachments come from."""
    settings = run.services.settings
    return Origin(settings.github_web_url, settings.attachment_networks, settings.github_ca_file)


async def linked_files(run: ActiveRun, urls: tuple[str, ...]) -> tuple[Attachment, ...]:
    """Store the files attached to the issue with the run, as far as they can be fetched."""
    kept = []
    origin = origin_of(run)
    async with origin.client() as client:
        for number, url in enumerate(urls, 1):
            data = await fetch_text(client, url, origin)
            if data is not None:
                name = url.rsplit("/", 1)[1]
                log = Attachment(id=f"{ATTACHED}{number}", name=name, size=len(data))
                run.store.put_log(run.record.id, log.id, data)
                kept.append(log)
    return tuple(kept)


async def linked_images(
    run: ActiveRun,
    found: Sequence[ImageLink],
    mirror: Mirror,
    commit: str,
    *,
    pull: int = 0,
    after: int = 0,
) -> tuple[Picture, ...]:
    """Store the images that the issue links to with the run, each as our own encoder wrote it.

    An image of the repository is that of the commit which the run works from, or that the link
    names. What cannot be fetched, or is no image that is shown, is left out.

    `pull`: the pull request that links to them as well; 0: none does. `after`: the highest number
    that an image of the run has.
    """
    rendered: tuple[str, ...] = ()
    if any(link.guid for link in found):
        rendered = await run.forge.rendered_images(run.record.issue_number)
        if pull:
            rendered += await run.forge.rendered_images(pull, reviews=True)
    origin, kept = origin_of(run), []
    async with origin.client() as client:
        for number, link in enumerate(found, after + 1):
            data = await _bytes_of(link, rendered, client, origin, mirror, commit)
            picture = await _keep(run, f"{IMAGE}{number}", link.name, data) if data else None
            if picture is None:
                _log.info("an image was left out", run=run.record.id, image=f"{IMAGE}{number}")
            else:
                kept.append(picture)
    return tuple(kept)


async def later_images(
    run: ActiveRun, remarks: Sequence[str], earlier: LaterImages, mirror: Mirror, commit: str
) -> LaterImages:
    """Store the images that came since the first round; those of `earlier` come first.

    From remarks on the pull request by people who may give commands, and from the issue as the
    first round read it: by anybody, as what it is about. Each image is given once.
    """
    own, place = await run.forge.bot_login(), web_location(run)
    thread = await run.forge.issue(run.record.issue_number)
    now = (thread.title, thread.body, *(c.body for c in thread.comments if c.author != own))
    first = run.store.get_log(run.record.id, ISSUE_LOG)
    before = Issue.model_validate_json(first) if first else Issue(title="", body="")
    then = links((before.title, before.body, *before.comments), *place, most=None).images
    known = {*earlier.keys, *(link.key for link in then)}
    found = links((*remarks, *now), *place, known=known).images
    shown = (p for e in run.events() if isinstance(e, AttemptStarted) for p in e.pictures)
    numbers = [int(p.id.removeprefix(IMAGE)) for p in (*shown, *earlier.pictures)]
    pictures = await linked_images(
        run,
        found,
        mirror,
        commit,
        pull=run.record.pull_number,
        after=max(numbers, default=0),
    )
    return LaterImages(
        keys=(*earlier.keys, *(link.key for link in found)),
        pictures=(*earlier.pictures, *pictures),
    )


async def _bytes_of(
    link: ImageLink,
    rendered: tuple[str, ...],
    client: httpx.AsyncClient,
    origin: Origin,
    mirror: Mirror,
    commit: str,
) -> bytes | None:
    if link.path:
        at = link.ref if len(link.ref) == 40 and _is_hex(link.ref) else commit
        return await asyncio.to_thread(first_file, mirror.git_dir, at, (link.path,))
    address = signed_address(link, rendered, origin.web_url) if link.guid else link.url
    return await fetch_image(client, address, origin)


async def _keep(run: ActiveRun, image_id: str, name: str, data: bytes) -> Picture | None:
    """Keep an image with the run; None if it is none that is shown."""
    try:
        safe = await asyncio.to_thread(make_safe, data)
    except ImageRefused as problem:
        _log.info("an image was refused", run=run.record.id, image=image_id, why=str(problem))
        return None
    run.store.put_log(run.record.id, image_id, safe.data)
    return Picture(
        id=image_id, name=name, width=safe.width, height=safe.height, size=len(safe.data)
    )


def _is_hex(text: str) -> bool:
    return all(c in "0123456789abcdef" for c in text.lower())


async def keep_check_log(run: ActiveRun, check: FailedCheck) -> str:
    """Store a failed check's log with the run; returns its id, empty if there is none."""
    data = await _check_log(run, check.id)
    if not data:
        return ""
    run.store.put_log(run.record.id, f"{ATTACHED}ci-{check.id}", data)
    return f"{ATTACHED}ci-{check.id}"


async def _check_log(run: ActiveRun, check: int) -> bytes | None:
    """A failed check's log; None where there is none for the App, which must not end the run."""
    try:
        return await run.forge.check_log(check)
    except (ForgeAway, RateLimited):
        raise
    except ForgeError as error:
        _log.warning("a check's log is left out", run=run.record.id, check=check, why=str(error))
        return None
