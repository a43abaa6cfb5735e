"""What a pull request says: title, description, commit message, check run.

The words are in templates; see `app.publishing.comments` for the comments on the issue.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from unidiff.errors import UnidiffParseError
from unidiff.patch import PatchSet

from agent.journal.state import AttemptState
from app.github.calls.checks import MOST_ANNOTATIONS
from app.github.records import Annotation, CheckReport, ReviewRules
from app.proof_block.made import Subject, block_of_fix
from app.proof_block.schema import ProofBlock
from app.proof_block.text import to_comment
from app.publishing.facts import RunFacts, is_undecided, must_be_draft, patch_of
from app.publishing.markers import run_marker
from app.publishing.pull_template import Part, fill
from app.publishing.rendering import MARKER_ROOM, MAX_ROWS, PHRASES, render
from app.repo_config.schema import Language
from app.repo_config.title_template import fill_title
from app.sanitize.markdown import (
    COMMENT_LIMIT,
    Markdown,
    commit_text,
    fit,
    inline,
    octets,
    shorten,
    title_text,
    visible,
)

CHECK_NAME = "Patchwright"
CHECK_LIMIT = 65_000
"""GitHub takes 65,535 bytes of summary, whatever its documentation says (github/docs#35252)."""
LONGEST_FIELD, LONGEST_TITLE = 90, 200
"""Characters of a field in a title of the repository's making, and of such a title; GitHub takes
256."""
PARTS: tuple[Part, ...] = ("issue", "cause", "summary", "proof", "risk")


@dataclass(frozen=True, slots=True)
class FileStat:
    """One file of a patch."""

    path: str
    added: int
    removed: int


def pull_title(facts: RunFacts, state: AttemptState, *, ready: bool = True) -> str:
    """The pull request's title; one that should be a draft but cannot be is not `ready`."""
    words = PHRASES[facts.language]
    title = _summary(state)
    if facts.issue_title:
        title = facts.message.subject(facts.issue_title, facts.issue_number)
    if not facts.title_template:
        title = title if ready else words.not_ready.format(title=title)
        return title_text(f"{facts.title_prefix}{title}")
    fields = {"title": title, "issue_title": facts.issue_title, "summary": _summary(state)}
    safe = {name: title_text(text, LONGEST_FIELD) for name, text in fields.items()}
    title = fill_title(facts.title_template, safe | {"issue": str(facts.issue_number)})
    title = title if ready else words.not_ready.format(title=title)
    return shorten(" ".join(f"{facts.title_prefix}{title}".split()), LONGEST_TITLE)


def proof_block(facts: RunFacts, state: AttemptState, head: str) -> ProofBlock:
    """What the gate found of a run's patch, for programs. `head`: the commit that has the patch."""
    about = Subject(
        id=facts.run_id,
        repository=facts.repository,
        repository_id=facts.repository_id,
        base=facts.base_commit,
        head=head,
        asked_at=facts.started_at,
        judged_at=facts.judged_at,
        degraded=bool(facts.degraded),
    )
    return block_of_fix(about, patch_of(state), state.verdict, state.reproduction)


def pull_body(facts: RunFacts, state: AttemptState, template: str = "", head: str = "") -> str:
    """The pull request's description: cause, change, proof, alternatives, risk, limits.

    `template` is the repository's own; what is said in its sections is not said again below. `head`
    is the commit that the proof block names; empty: there is no such block.
    """
    files = diffstat(patch_of(state))

    def part(name: str) -> Markdown:
        text = render(
            f"pull_{name}.md.j2",
            inline,
            facts.language,
            facts=facts,
            state=state,
            draft=must_be_draft(state),
            files=files,
        )
        return Markdown(text)

    parts: dict[Part, Markdown] = {name: part(name) for name in PARTS}
    filled = fill(template, parts) if template else None
    body = render(
        "pull_request.md.j2",
        inline,
        facts.language,
        facts=facts,
        state=state,
        draft=must_be_draft(state),
        undecided=is_undecided(state),
        parts=parts,
        filled=filled.text if filled else "",
        placed=filled.placed if filled else frozenset(),
        unchecked=proof_limits(state, facts.language),
        needed=merge_needs(facts.reviews, facts.language),
        hypotheses=state.hypotheses[-MAX_ROWS:],
    )
    begun = f"{run_marker(facts.run_id, 'pull')}\n"
    if head:
        begun += to_comment(proof_block(facts, state, head))
    return f"{begun}{fit(body, COMMENT_LIMIT - MARKER_ROOM - len(begun))}"


def commit_message(facts: RunFacts, state: AttemptState, author: str, email: str) -> str:
    """The commit's message: a short subject, the root cause, what it fixes, who it is by."""
    return render(
        "commit.txt.j2",
        commit_text,
        subject=Markdown(title_text(_subject(facts, state), 68)),
        state=state,
        facts=facts,
        closes="Refs" if must_be_draft(state) else "Fixes",
        author=author,
        email=email,
        co_authors=_co_authors(facts),
    )


def _subject(facts: RunFacts, state: AttemptState) -> str:
    return facts.message.subject(facts.issue_title or _summary(state), facts.issue_number)


def _co_authors(facts: RunFacts) -> tuple[str, ...]:
    """`Login <address>` of reporter and requester, as far as they are wanted, each once."""
    wanted = [(facts.reporter, facts.reporter_id)]
    if facts.co_author_requester and not facts.requester.endswith("[bot]"):
        wanted.append((facts.requester, facts.requester_id))
    found = {login.casefold(): _address(login, number) for login, number in wanted}
    return tuple(address for address in found.values() if address)


def _address(login: str, number: int) -> str:
    """The form that GitHub has for hidden addresses; empty for what is no login."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,99}", login):
        return ""
    known = f"{number}+" if number else ""
    return f"{login} <{known}{login}@users.noreply.github.com>"


def check_report(
    facts: RunFacts, state: AttemptState, head_sha: str, *, ready: bool = True
) -> CheckReport:
    """The check run on the pull request: the proof as summary, a remark at each changed place.

    Where the pull request should be a draft but cannot be (not `ready`), it does not pass.
    """
    words = PHRASES[facts.language]
    summary = render(
        "check.md.j2",
        inline,
        facts.language,
        facts=facts,
        state=state,
        proof=proof_table(facts, state),
        unchecked=proof_limits(state, facts.language),
    )
    proven = not must_be_draft(state)
    block = to_comment(proof_block(facts, state, head_sha))
    return CheckReport(
        external_id=f"patchwright:{facts.run_id}",
        name=CHECK_NAME,
        head_sha=head_sha,
        title=words.check_proven if proven else words.check_unproven,
        summary=f"{block}{fit(summary, CHECK_LIMIT - octets(block), octets)}",
        conclusion="action_required" if not ready else "success" if proven else "neutral",
        details_url=facts.run_url,
        annotations=check_annotations(facts, state),
    )


def check_annotations(facts: RunFacts, state: AttemptState) -> tuple[Annotation, ...]:
    """A remark at every changed place of the new files, at most as many as GitHub takes."""
    try:
        files = PatchSet(patch_of(state))
    except UnidiffParseError:
        return ()
    # Plain text at GitHub: no Markdown to escape, but secrets are taken out.
    message = shorten(visible(_summary(state) or facts.issue_title, 1000), 1000)
    found = [
        Annotation(
            path=file.path,
            first_line=min(lines),
            last_line=max(lines),
            title=PHRASES[facts.language].annotation,
            message=message,
        )
        for file in files
        for hunk in file
        if (lines := [line.target_line_no or 1 for line in hunk if line.is_added])
    ]
    return tuple(found[:MOST_ANNOTATIONS])


def proof_limits(state: AttemptState, language: Language = "en") -> tuple[str, ...]:
    """What the proof does not cover, in sentences."""
    words = PHRASES[language]
    found = []
    repro = state.reproduction
    if repro is None or repro.why_none:
        found.append(words.no_reproduction)
    elif repro.failures < repro.runs:
        found.append(words.flaky.format(failures=repro.failures, runs=repro.runs))
    command = state.started.test_command if state.started else ""
    found.append(words.tests_only.format(command=command) if command else words.no_tests)
    return (*found, words.no_network, words.other_platforms)


def merge_needs(reviews: ReviewRules, language: Language = "en") -> tuple[str, ...]:
    """What the rules of the base branch ask of reviews before a merge, in sentences."""
    words = PHRASES[language]
    found = []
    if reviews.approvals == 1:
        found.append(words.one_approval)
    elif reviews.approvals > 1:
        found.append(words.approvals.format(count=reviews.approvals))
    asked = [
        (reviews.last_push, words.last_push),
        (reviews.code_owners, words.owners_approve),
        (reviews.conversations, words.conversations),
    ]
    return (*found, *(sentence for wanted, sentence in asked if wanted))


def diffstat(patch: str) -> tuple[FileStat, ...]:
    """The files of a patch with their counts of lines; none when it cannot be read."""
    try:
        files = PatchSet(patch)
    except UnidiffParseError:
        return ()
    return tuple(FileStat(f.path, f.added, f.removed) for f in files[:MAX_ROWS])


def _summary(state: AttemptState) -> str:
    return state.submitted.summary.strip().split("\n")[0] if state.submitted else ""


def proof_table(facts: RunFacts, state: AttemptState) -> Markdown:
    """The gate's checks with what they printed, and the reproduction."""
    return Markdown(render("pull_proof.md.j2", inline, facts.language, facts=facts, state=state))
