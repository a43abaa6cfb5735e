"""Proofs of pull requests: which are asked for, made once and told once.

Each outward act has its key: a check run the proof's id, the comment its marker. What a proof says
is kept before it is told, so that it is not made again after a crash.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from agent.cancellation import unless_stopped
from agent.errors import RunStopped
from agent.journal.events import now
from agent.task import Issue
from agent.text.globs import matches
from app.admission import authorization
from app.git.process import GitError
from app.github.errors import ForgeError, ForgeMissing, ForgeRefused
from app.github.forge import Forge
from app.github.records import Pull
from app.github.webhook_events import (
    Commented,
    EventSource,
    MergeGroupAsked,
    MergeGroupEnded,
    ProofDue,
    PullChanged,
    PullEnded,
    Rerun,
)
from app.intake.context import EventContext, is_permitted
from app.intake.linked_issues import About, about
from app.proving.check_run import MARKER, check_run, proof_markdown, proof_of_check
from app.proving.service import (
    ChangeGone,
    FetchedChange,
    fetch_change,
    from_report,
    prove_on_forge,
    settings_of,
    to_report,
)
from app.repo_config.effective import EffectiveConfig
from app.repo_config.schema import Prove
from app.runs.services import Services
from app.sanitize.markdown import COMMENT_LIMIT
from app.storage import controls
from app.storage.proofs import AskedBy, Proof, Proofs, UnknownProof
from app.storage.records import proof_id_for
from app.telemetry import logs

DRAFT = "It was a draft, which only a command has proven."

_log = logs.get(__name__)


def proofs_of(services: Services) -> Proofs:
    """The proofs in the database of these services."""
    return Proofs(services.store.database)


# What asks for a proof


async def pull_changed(context: EventContext, event: PullChanged) -> str:
    """Have a pull request proven, if its label, its author or what it touches asks for it.

    Or if it was proven for another branch than the one that it is for now.
    """
    if own := _asked_before(context):
        return DRAFT if own.reason == DRAFT else await _enqueue(context, event, own)
    pull = await context.forge.pull(event.pull_number)
    if not pull.open:
        return "the pull request is closed"
    known = proofs_of(context.services).of_pull(event.repository_id, pull.number)
    live = next((proof for proof in known if proof.is_live), None)
    same = (p for p in known if p.head_sha == pull.head_sha and p.state != "cancelled")
    newest = next(same, None)
    # Its check would stand for a change that nobody has looked at.
    moved = newest if newest is not None and newest.base_branch != pull.base_branch else None
    asked_by: AskedBy | None
    if event.action == "labeled":
        if refused := await _label_refused(context, event):
            return refused
        asked_by = "label"
    elif moved is not None:
        asked_by = moved.asked_by
    elif event.action == "synchronize" and live is not None and live.head_sha != pull.head_sha:
        asked_by = live.asked_by  # whoever asked, meant the pull request
    else:
        asked_by = await _automatic(context, pull, known)
        if asked_by is None:
            return "nobody asks for a proof of it"
    if newest is not None and moved is None:
        return "this commit is proven already, or about to be"
    proof = _proof(context, event, pull, asked_by)
    if pull.draft and live is None and moved is None:
        if event.action == "labeled":  # somebody who may has put it there, for later
            waiting = proof.model_copy(update={"state": "cancelled", "reason": DRAFT})
            proofs_of(context.services).ask(waiting)
        return DRAFT
    return await _enqueue(context, event, proof)


async def _label_refused(context: EventContext, event: PullChanged) -> str:
    """Why a label asks for no proof; empty: it does."""
    names = (context.services.settings.prove_label, *context.config.prove.labels)
    if not any(authorization.is_label(event.label, name) for name in names):
        return "another label"
    if not authorization.switched_on("label", context.config.triggers):
        return "the repository's settings turn off labels"
    if not await is_permitted(context, event, context.config.permissions.label):
        return "a stranger"
    return ""


async def _automatic(context: EventContext, pull: Pull, known: Iterable[Proof]) -> AskedBy | None:
    """What has this pull request proven that nobody asks for just now; None: nothing."""
    services, rules = context.services, context.config.prove
    if authorization.is_ours(pull.author, services.settings.github_app_slug):
        return None  # it carries its proof
    labels = (services.settings.prove_label, *rules.labels)
    has_label = any(authorization.is_label(mine, name) for mine in pull.labels for name in labels)
    # The label alone is not enough: somebody has to have put it there who may.
    if has_label and any(proof.asked_by == "label" for proof in known):
        return "label"
    if any(name == "*" or name.casefold() == pull.author.casefold() for name in rules.authors):
        return "settings"
    if rules.paths:
        touched = await context.forge.changed_paths(pull.number)
        if any(matches(path, rules.paths) for path in touched):
            return "settings"
    return None


async def asked_by_command(context: EventContext, event: Commented) -> str:
    """Have a pull request proven on somebody's word; what is to be answered, else empty.

    Whether they may was found out before.
    """
    if not event.is_pull_request:
        return "I prove pull requests. Ask on one."
    if own := _asked_before(context):
        await _enqueue(context, event, own)
        return ""
    pull = await context.forge.pull(event.issue_number)
    if not pull.open:
        return "The pull request is closed."
    for proof in proofs_of(context.services).of_pull(event.repository_id, pull.number):
        if proof.is_live and proof.head_sha == pull.head_sha:
            return "This commit is being proven already; see its check."
    await context.forge.react(event.issue_number, "+1", comment=event.comment_id)
    await _enqueue(context, event, _proof(context, event, pull, "command"))
    return ""


async def rerun(context: EventContext, event: Rerun) -> str:
    """Prove once more what a check run is about; empty: it is about no proof."""
    proof_id = proof_of_check(event.external_id)
    if not proof_id:
        return ""
    if own := _asked_before(context):
        return await _enqueue(context, event, own)
    try:
        old = proofs_of(context.services).get(proof_id)
    except UnknownProof:
        return "the proof is not known any more"
    if old.repository_id != event.repository_id:
        return "a proof of another repository"
    if old.pull_number:
        pull = await context.forge.pull(old.pull_number)
        if not pull.open:
            return "the pull request is closed"
        return await _enqueue(context, event, _proof(context, event, pull, "rerun"))
    again = old.model_copy(
        update={
            "id": proof_id_for(context.id),
            "asked_by": "rerun",
            "sender": event.sender,
            "state": "queued",
            "verdict": "",
            "reason": "",
            "report": "",
            "created_at": now(),
            "begun_at": None,
            "ended_at": None,
        }
    )
    return await _enqueue(context, event, again)


async def merge_group_asked(context: EventContext, event: MergeGroupAsked) -> str:
    """Have what a merge queue would merge proven."""
    rules = context.config.prove
    if not rules.merge_queue:
        return "the repository's settings leave merge queues alone"
    if not rules.is_automatic and not proofs_of(context.services).any_of(event.repository_id):
        return "nothing is proven in this repository"
    branch = event.base_ref.removeprefix("refs/heads/")
    proof = Proof(
        **_source(event),
        id=proof_id_for(context.id),
        pull_number=0,
        title=event.head_ref.removeprefix("refs/heads/"),
        author=event.sender,
        author_is_bot=event.sender_is_bot,
        asked_by="merge_queue",
        base_branch=branch,
        base_sha=event.base_sha,
        head_sha=event.head_sha,
        created_at=now(),
    )
    return await _enqueue(context, event, proof)


def _proof(context: EventContext, event: EventSource, pull: Pull, asked_by: AskedBy) -> Proof:
    return Proof(
        **_source(event),
        id=proof_id_for(context.id),
        pull_number=pull.number,
        title=pull.title,
        author=pull.author,
        author_is_bot=pull.author_is_bot,
        asked_by=asked_by,
        base_branch=pull.base_branch,
        head_sha=pull.head_sha,
        created_at=now(),
    )


def _source(event: EventSource) -> dict[str, object]:
    return {
        "repository_id": event.repository_id,
        "installation_id": event.installation_id,
        "repository": event.repository,
        "private": event.private is not False,
        "sender": event.sender,
    }


def _asked_before(context: EventContext) -> Proof | None:
    """The proof that this event has asked for already, before a crash."""
    try:
        return proofs_of(context.services).get(proof_id_for(context.id))
    except UnknownProof:
        return None


async def _enqueue(context: EventContext, event: EventSource, proof: Proof) -> str:
    """Keep that a proof is asked for, and say so; cancel those that it replaces."""
    services, known = context.services, proofs_of(context.services)
    if not _asked_before(context) and (over := _over_the_limit(services, proof)):
        # Kept as refused from the first: a crash does not let it pass.
        refused = {"state": "done", "reason": over, "ended_at": now()}
        proof = proof.model_copy(update=refused)
    for each in known.ask(proof):
        await _tell_quietly(services, context.forge, each)
    kept = known.get(proof.id)
    await tell(services, context.forge, context.config, kept)
    if kept.state == "done":
        return f"proof {proof.id} is made" if kept.verdict else kept.reason
    due = ProofDue(
        **event.model_dump(include=set(EventSource.model_fields)),
        proof_id=proof.id,
    )
    services.inbox.keep(proof.id, "proof", due)
    _log.info("proof asked for", proof=proof.id, by=proof.asked_by, sender=proof.sender)
    return f"proof {proof.id}"


def _over_the_limit(services: Services, proof: Proof) -> str:
    known, settings = proofs_of(services), services.settings
    for limit, where, asked in (
        (
            settings.repository_proofs_per_day,
            "this repository",
            known.asked_lately(repository_id=proof.repository_id, but=proof.id),
        ),
        (
            settings.organisation_proofs_per_day,
            "this organisation",
            known.asked_lately(installation_id=proof.installation_id, but=proof.id),
        ),
    ):
        if limit and asked >= limit:
            return f"The limit of {limit} proofs within 24 hours in {where} is reached."
    return ""


# What ends a proof before its time


async def pull_ended(services: Services, forge: Forge, event: PullEnded) -> str:
    """Cancel the proof of a pull request that is closed; empty: there is none to cancel."""
    how = "merged" if event.merged else "closed"
    found = proofs_of(services).of_pull(event.repository_id, event.pull_number)
    return await _cancel(services, forge, found, f"The pull request was {how}.")


async def merge_group_ended(services: Services, forge: Forge, event: MergeGroupEnded) -> str:
    """Cancel the proof of a merge group that is no longer there."""
    found = proofs_of(services).of_group(event.repository_id, event.head_sha)
    return await _cancel(services, forge, found, "The merge queue is done with this group.")


async def _cancel(services: Services, forge: Forge, found: Iterable[Proof], why: str) -> str:
    known, cancelled = proofs_of(services), []
    for proof in found:
        if known.cancel(proof.id, why):
            cancelled.append(proof.id)
            await _tell_quietly(services, forge, known.get(proof.id))
    return f"proof {', '.join(cancelled)} is cancelled" if cancelled else ""


async def _tell_quietly(services: Services, forge: Forge, proof: Proof) -> None:
    """Say that a proof is cancelled, if there is still somebody to say it to."""
    try:
        await forge.put_check(check_run(proof, Prove(), _page(services, proof)))
    except (ForgeMissing, ForgeRefused) as error:
        _log.info("a cancelled proof has no check", proof=proof.id, why=str(error))


# The work itself


async def answer(services: Services, forge: Forge, event: ProofDue) -> str:
    """Make a proof, unless that is done, and tell it. Idempotent."""
    known, proof_id = proofs_of(services), event.proof_id
    config = await services.config(forge)
    if not config.enabled:
        known.cancel(proof_id, config.off or "The repository's settings turn the App off.")
    if known.get(proof_id).is_live and not _kills_workers(services, known.get(proof_id)):
        try:
            await _make(services, forge, config, known.get(proof_id))
        except ChangeGone as gone:
            known.cancel(proof_id, str(gone))
        except BaseException:
            known.hand_back(proof_id)
            raise
    proof = known.get(proof_id)
    if proof.state == "cancelled":
        await _tell_quietly(services, forge, proof)
        return f"cancelled: {proof.reason}"
    await tell(services, forge, config, proof)
    return proof.verdict or f"no proof: {proof.reason}"


def _kills_workers(services: Services, proof: Proof) -> bool:
    """Whether workers die of a proof, again and again; then it ends without a result."""
    if proof.state != "working":
        return False
    blame = controls.count_death(services.store.database, proof.id, "", 0)
    _log.warning("a worker died with this proof in hand", proof=proof.id, blame=blame)
    if blame < controls.BLAME:
        return False
    why = f"The worker died {controls.DEATHS} times while it was made. Its log says more."
    proofs_of(services).finish(proof.id, "", reason=why)
    return True


async def _make(services: Services, forge: Forge, config: EffectiveConfig, proof: Proof) -> None:
    known = proofs_of(services)
    subject = About(Issue(title=proof.title, body=""), is_linked=False)
    if proof.pull_number:
        pull = await forge.pull(proof.pull_number)
        if not pull.open:
            raise ChangeGone(f"The pull request was {'merged' if pull.merged else 'closed'}.")
        if pull.head_sha != proof.head_sha:
            raise ChangeGone("The pull request has other commits now.")
        if pull.base_branch != proof.base_branch:
            raise ChangeGone("The pull request is for another branch now.")
        subject = await about(forge, pull)
    if not known.begin(proof.id):
        return
    await tell(services, forge, config, known.get(proof.id))
    change = await fetch_change(services, forge, proof)
    await asyncio.to_thread(known.place, proof.id, change.base, change.trees)
    if proof.asked_by == "merge_queue" and _carried_over(known, proof.id, config):
        return
    try:
        found = await unless_stopped(
            lambda: known.why_not_live(proof.id),
            prove_on_forge(
                services,
                forge,
                config,
                proof,
                change,
                subject.issue,
                may_write=subject.is_linked,
            ),
        )
    except RunStopped:
        return
    lacking = "\n".join(found.missing)
    known.finish(proof.id, found.verdict, report=to_report(found), reason=lacking)
    if proof.pull_number:
        await _let_go(change, proof)


async def _let_go(change: FetchedChange, proof: Proof) -> None:
    """Keep the pull request's head no longer; where that fails, the next proof's end does it."""
    try:
        await asyncio.to_thread(change.mirror.forget_pull, proof.pull_number)
    except GitError as error:
        _log.warning("a pull request's head stays in the mirror", proof=proof.id, why=str(error))


def _carried_over(known: Proofs, proof_id: str, config: EffectiveConfig) -> bool:
    """Whether a merge group is the very change that was proven already; its proof is taken over.

    Not where the settings would have it proven otherwise now.
    """
    earlier = known.same_change(known.get(proof_id))
    if earlier is None or from_report(earlier.report).settings != settings_of(config):
        return False
    where = f"pull request {earlier.pull_number}" if earlier.pull_number else "an earlier group"
    why = f"It is the same change, on the same base, as that of {where}, whose proof this is."
    known.finish(proof_id, earlier.verdict, report=earlier.report, reason=why)
    return True


async def tell(services: Services, forge: Forge, config: EffectiveConfig, proof: Proof) -> None:
    """Bring a proof's check run up to date, and the comment if there is to be one. Idempotent."""
    await forge.put_check(check_run(proof, config.prove, _page(services, proof)))
    if config.prove.comment and proof.pull_number and proof.state == "done":
        text = proof_markdown(proof, COMMENT_LIMIT - 500)
        await forge.put_comment(proof.pull_number, MARKER, text)


def _page(services: Services, proof: Proof) -> str:
    """The address of a proof's page; empty where people cannot reach the pages."""
    public_url = services.settings.public_url
    return f"{public_url}/proofs/{proof.id}" if public_url else ""


async def gave_up_asking(services: Services, forge: Forge, event_id: str, why: str) -> None:
    """An event failed; the proof that it asked for, if it did, can be asked for again."""
    known, proof_id = proofs_of(services), proof_id_for(event_id)
    if known.cancel(proof_id, why):
        try:
            await _tell_quietly(services, forge, known.get(proof_id))
        except ForgeError as error:
            _log.warning("a proof's failure could not be told", why=str(error))


async def gave_up(services: Services, forge: Forge, event: ProofDue, why: str) -> None:
    """There is no proof: say why, if that can be said."""
    known = proofs_of(services)
    known.finish(event.proof_id, "", reason=why)
    try:
        await tell(services, forge, await services.config(forge), known.get(event.proof_id))
    except ForgeError as error:
        _log.warning("a proof's failure could not be told", why=str(error))
