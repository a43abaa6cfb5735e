"""The comment about a patch that could not be published: why, the patch itself, what to do."""

from __future__ import annotations

from collections.abc import Callable

from agent.journal.state import AttemptState
from app.publishing.facts import RunFacts, must_be_draft, patch_of
from app.publishing.obstacles import WITH_SECRETS
from app.publishing.publication import PATCH_LOG, Publication
from app.publishing.pull_request import diffstat, proof_table
from app.publishing.rendering import MARKER_ROOM, render
from app.publishing.shown_patch import ShownPatch, show_patch
from app.sanitize.markdown import COMMENT_LIMIT, Markdown, fit, inline, units


def unpublished_comment(
    facts: RunFacts,
    state: AttemptState,
    publication: Publication,
    reason: str,
    *,
    limit: int = COMMENT_LIMIT - MARKER_ROOM,
    size: Callable[[str], int] = units,
    command: str = "/patchwright publish",
    patch: str = "",
    change: bool = False,
) -> str:
    """What was proven, why it is not published, the diff with how to apply it, and the proof.

    `size` measures it against `limit`. `reason` is for obstacles without a detail or words of a
    server; `command` tries again. `patch` is the diff to show where it is not the attempt's whole
    patch; `change`: it belongs to an open pull request.
    """
    obstacle = publication.obstacle
    patch = patch or patch_of(state)
    words = "\n".join(obstacle.words) if obstacle else ""
    # Of a secret whose place is not known no line may be shown.
    hidden = obstacle is not None and obstacle.kind == "secret" and not obstacle.places

    def text(shown: ShownPatch | None, *, proof: bool) -> str:
        return render(
            "unpublished.md.j2",
            inline,
            facts.language,
            facts=facts,
            state=state,
            proven=not must_be_draft(state),
            kind=obstacle.kind if obstacle else "other",
            detail=reason if obstacle is None else obstacle.detail or ("" if words else reason),
            words=words,
            publication=publication,
            base=publication.base or facts.base_commit,
            shown=shown,
            secret=obstacle is not None and obstacle.kind in WITH_SECRETS,
            files=diffstat(patch),
            patch_url=f"{facts.run_url}/logs/{PATCH_LOG}" if facts.run_url else "",
            proof=proof_table(facts, state) if proof else Markdown(""),
            command=command,
            change=change,
        )

    nothing = ShownPatch(Markdown(""), 0, len(diffstat(patch)), exact=False)
    for proof in (True, False):
        room = limit - size(text(nothing, proof=proof)) - 600
        places = obstacle.places if obstacle else ()
        shown = nothing if hidden else show_patch(patch, room, places, size)
        if shown.files == shown.of:
            break
    return fit(text(shown, proof=proof), limit, size)
