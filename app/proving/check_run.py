"""A proof as a check run and a comment on GitHub: everything of the repository is escaped."""

from __future__ import annotations

from collections.abc import Sequence

from agent.journal.events import HunkEvidence
from agent.proving.records import RED_THEN_GREEN, ChangeProof
from app.github.records import Annotation, CheckReport, CheckStatus, Conclusion
from app.proof_block.made import Subject, block_of_change
from app.proof_block.text import to_comment
from app.proving.service import from_report
from app.proving.text_report import (
    HEADLINES,
    headline,
    more_evidence,
    needing,
    suite_words,
    telling_line,
)
from app.publishing.pull_request import CHECK_LIMIT
from app.repo_config.schema import Prove
from app.sanitize.markdown import Markdown, code, fenced, fit, inline, octets, visible
from app.storage.proofs import Proof, ProofState

NAME = "Patchwright proof"
MARKER = "<!-- patchwright:proof -->"
"""The hidden first line of the one comment on a pull request."""
MOST_ANNOTATED = 200
_NAMED = 50
_KEY = "patchwright-proof:"
_STATUS: dict[ProofState, CheckStatus] = {
    "queued": "queued",
    "working": "in_progress",
    "done": "completed",
    "cancelled": "completed",
}


def proof_of_check(external_id: str) -> str:
    """The id of the proof whose check run this is; empty: it is no proof's."""
    return external_id.removeprefix(_KEY) if external_id.startswith(_KEY) else ""


def check_run(proof: Proof, rules: Prove, page: str = "") -> CheckReport:
    """The check run of a proof as it stands. `page`: the address of its page; empty: none."""
    conclusion: Conclusion | None = None
    marked: tuple[Annotation, ...] = ()
    match proof.state:
        case "queued":
            title, summary = "Queued", Markdown("The proof waits for its turn.")
        case "working":
            title = "Under way"
            summary = Markdown("The tests run without the change and with it.")
        case "cancelled":
            title, summary, conclusion = "Cancelled", inline(proof.reason, 1000), "cancelled"
        case "done":
            block, title = _block(proof), title_of(proof)
            room = CHECK_LIMIT - octets(block)
            summary = Markdown(f"{block}{fit(proof_markdown(proof, room), room, octets)}")
            conclusion = conclusion_of(proof, rules)
            marked = unneeded_annotations(from_report(proof.report)) if proof.report else ()
    return CheckReport(
        external_id=f"{_KEY}{proof.id}",
        name=NAME,
        head_sha=proof.head_sha,
        title=title,
        summary=summary,
        status=_STATUS[proof.state],
        conclusion=conclusion,
        details_url=page,
        annotations=marked,
    )


def _block(proof: Proof) -> str:
    """The proof block as a hidden line; empty where nothing was judged."""
    if not proof.report:
        return ""
    found = from_report(proof.report)
    about = Subject(
        id=proof.id,
        repository=proof.repository,
        repository_id=proof.repository_id,
        base=found.base,
        head=found.head,
        asked_at=proof.created_at,
        judged_at=proof.ended_at,
        degraded=found.degraded,
    )
    return to_comment(block_of_change(about, found))


def conclusion_of(proof: Proof, rules: Prove) -> Conclusion:
    """How the check of a proof that is done ends."""
    match proof.verdict:
        case "proven":
            return "success"
        case "failed":
            return "failure"
        case _:
            return rules.missing


def title_of(proof: Proof) -> str:
    """One line on a proof that is done."""
    if not proof.verdict:
        return "Not proven: the proof could not be made"
    if proof.verdict == "unproven" and proof.report:
        missing = from_report(proof.report).missing
        count = f" {len(missing)} things are missing" if len(missing) > 1 else ""
        return f"Not proven:{count}" if count else "Not proven"
    if proof.report and from_report(proof.report).shows == "something new":
        return "Red then green: something new, no bug fix"
    return HEADLINES[proof.verdict].rstrip(".")


def unneeded_annotations(proof: ChangeProof) -> tuple[Annotation, ...]:
    """A remark at each hunk that no test needs.

    GitHub finds a file by its name as it is, so those whose names are not plain text have none.
    """
    return tuple(
        Annotation(
            path=hunk.path,
            first_line=max(hunk.line, 1),
            last_line=max(hunk.line, 1),
            title="No test needs this",
            message="The tests end the same without this part of the change.",
        )
        for hunk in proof.unneeded[:MOST_ANNOTATED]
        if visible(hunk.path) == hunk.path
    )


def proof_markdown(proof: Proof, room: int) -> Markdown:
    """The whole proof, the verdict first, in at most so many characters."""
    if not proof.report:
        why = inline(proof.reason, 2000)
        return Markdown(fit(f"The change could not be proven: {why}", room))
    return Markdown(fit("\n\n".join(_parts(proof, from_report(proof.report))), room))


def _parts(proof: Proof, found: ChangeProof) -> list[str]:
    about = f"From {found.base[:12]} to {found.head[:12]}."
    if proof.verdict == "proven" and proof.reason:
        about = f"{about} {inline(proof.reason, 1000)}"
    shown = [test for test in found.tests if test.said == "shows the bug"]
    new = [test for test in found.tests if test.said == "lacks a new name without the change"]
    others = [test for test in found.tests if test.said not in RED_THEN_GREEN]
    hunks = found.judged.hunks if found.judged is not None else ()
    needed = [
        f"{_place(hunk)}, needed by {inline(needing(hunk))}" for hunk in hunks if hunk.needed_by
    ]
    parts = [
        f"**{inline(headline(found), 2000)}**\n\n{about}",
        _listed("What is missing", [inline(text, 1000) for text in found.missing]),
        _written(found),
        _listed("Passed without the change, fail with it", [code(n) for n in found.broken]),
        _listed(
            "Tests that fail without the change and pass with it",
            [f"{code(t.name)}: {inline(telling_line(t.message))}".rstrip(": ") for t in shown],
        ),
        _listed(
            "Tests that fail without the change for want of a name that it brings",
            [f"{code(test.name)}: {code(test.wanting)}" for test in new],
        ),
        _listed("Other tests of the change", [f"{code(t.name)}: {t.said}" for t in others]),
        _listed("Flaky, and not counted", [code(name) for name in found.flaky]),
        _listed("Hunks of source that a test needs", needed),
        _listed("Hunks of source that no test needs", [_place(hunk) for hunk in found.unneeded]),
        _listed("What else was tried", [inline(text, 1000) for text in more_evidence(found)]),
        _listed(
            "For a person to look at",
            [f"{inline(f.rule)}: {inline(f.detail, 1000)}" for f in found.findings],
        ),
        _listed("Not looked at", [inline(text, 1000) for text in found.left_out]),
        _listed("Test suite", [inline(text, 1000) for text in suite_words(found)]),
    ]
    return [part for part in parts if part]


def _written(found: ChangeProof) -> str:
    """What a model wrote to show the bug: how it is run, and its files."""
    if found.written is None:
        return ""
    files = [f"{code(path)}:\n{fenced(text)}" for path, text in found.written.files.items()]
    said = "The change brings no test; a model wrote from the issue"
    return "\n\n".join([f"{said}: {code(found.written.command, 1000)}", *files])


def _place(hunk: HunkEvidence) -> Markdown:
    return code(f"{hunk.path}:{hunk.line}")


def _listed(title: str, items: Sequence[str]) -> str:
    if not items:
        return ""
    more = [f"- and {len(items) - _NAMED} more"] if len(items) > _NAMED else []
    return "\n".join([f"{title}:\n", *(f"- {item}" for item in items[:_NAMED]), *more])
