"""What a later round of a run says on its pull request; each thing once, found by its marker."""

from __future__ import annotations

from collections.abc import Sequence

from agent.journal.state import RunState
from app.git.mirror import Identity
from app.github.records import FailedCheck, Pull
from app.publishing.markers import reply_marker, round_marker
from app.runs import feedback
from app.runs.active_run import RunWork
from app.runs.feedback import Item
from app.runs.services import Result
from app.sanitize.markdown import commit_text, title_text


async def answer_all(
    run: RunWork, items: Sequence[Item], state: RunState, found: Result, result: Result
) -> None:
    """Reply in each thread, and on the page to what has no thread."""
    commit = result.get("commit", "")
    changed = bool(commit) and commit != found["head"]
    failed = result.get("failed", "")
    summary = state.submitted.summary if state.submitted else ""
    said = feedback.answers(summary, len(items))
    on_page = []
    for item, words in zip(items, said, strict=True):
        text = feedback.answer_text(words, commit=commit[:12], changed=changed, failed=failed)
        if item.thread:
            marker = reply_marker(run.run.id, item.key)
            await run.forge.reply(run.run.pull_number, item.thread, marker, text)
        else:
            on_page.append((item, text))
    if on_page or changed:
        facts = run.facts(found)
        text = feedback.page_comment(
            on_page, proof=_proof(state, commit) if changed else "", run_url=facts.run_url
        )
        marker = round_marker(run.run.id, run.run.round)
        await run.forge.put_comment(run.run.pull_number, marker, text)


async def say_given_up(run: RunWork, pull: Pull, checks: Sequence[FailedCheck]) -> None:
    """Say once that checks are left to people now."""
    marker = f"<!-- patchwright:given-up run={run.run.id} -->"
    await run.forge.put_comment(pull.number, marker, feedback.given_up(checks))


def commit_text_for(pull: Pull, state: RunState, author: Identity) -> str:
    """The message of a round's commit."""
    summary = state.submitted.summary if state.submitted else ""
    subject = title_text(f"Follow the review of #{pull.number}", 68)
    body = commit_text(summary)
    return f"{subject}\n\n{body}\n\nSigned-off-by: {author.name} <{author.email}>\n"


def _proof(state: RunState, commit: str) -> str:
    checks = state.verdict.checks if state.verdict else ()
    held = sum(check.ok for check in checks)
    if state.verdict is None or state.verdict.verdict != "proven":
        return f"{commit[:12]} is **not proven**."
    return (
        f"Proven again in fresh sandboxes for the whole pull request as of {commit[:12]}: "
        f"{held} of {len(checks)} checks hold."
    )
