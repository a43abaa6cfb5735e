"""Operations on reviews, their comments on lines of the diff, and the replies in each thread."""

import re
from typing import Any

from tests.doubles.github import repository as git
from tests.doubles.github.auth import require_role
from tests.doubles.github.operations.issue_changes import react
from tests.doubles.github.operations.issues import checked_body, rendered_body
from tests.doubles.github.operations.operation import (
    Answer,
    Call,
    GithubError,
    Table,
    invalid,
    not_found,
    paged,
)
from tests.doubles.github.operations.pulls import pull_of
from tests.doubles.github.shapes import basic, pulls
from tests.doubles.github.state import Issue, Json, Pull, Review, ReviewComment

table = Table()
_READ, _WRITE = "pull_requests:read", "pull_requests:write"
_PULL = "/repos/{owner}/{repo}/pulls/{pull_number}"
_REVIEW = f"{_PULL}/reviews/{{review_id}}"
_COMMENT = "/repos/{owner}/{repo}/pulls/comments/{comment_id}"
_STATES = {"APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED"}
_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")


def hunk_at(patch: str, side: str, line: int) -> str | None:
    """The hunk down to that line of that side (RIGHT: the new file); None outside of the diff."""
    hunk: list[str] = []
    old = new = 0
    for text in patch.splitlines():
        start = _HUNK.match(text)
        if start:
            hunk, old, new = [text], int(start[1]), int(start[2])
            continue
        hunk.append(text)
        is_here = (side == "RIGHT" and new == line and not text.startswith("-")) or (
            side == "LEFT" and old == line and not text.startswith("+")
        )
        if is_here and not text.startswith("\\"):
            return "\n".join(hunk)
        old += text[:1] in {" ", "-", ""}
        new += text[:1] in {" ", "+", ""}
    return None


def _new_comment(call: Call, pull: Pull, review: Review, given: Json) -> ReviewComment:
    path, line = given["path"], given.get("line")
    side, now = given.get("side") or "RIGHT", call.world.now()
    found = git.changes(call.repo.git, pull.base_sha, pull.head_sha)
    patch = next((change.patch for change in found if change.path == path), None)
    if patch is None:
        raise invalid("PullRequestReviewComment", "path", "invalid")
    hunk = patch.partition("\n")[0] if line is None else hunk_at(patch, side, line)
    if hunk is None:
        said = "pull_request_review_thread.line must be part of the diff"
        raise invalid("PullRequestReviewComment", "line", "custom", said)
    text = checked_body("PullRequestReviewComment", given["body"]) or ""
    return ReviewComment(
        id=call.world.next_id(),
        user=call.user,
        body=text,
        path=path,
        line=line,
        side=side,
        start_line=given.get("start_line"),
        commit_id=pull.head_sha,
        diff_hunk=hunk,
        review_id=review.id,
        created_at=now,
        updated_at=now,
    )


def _submit(call: Call, item: Issue, pull: Pull, review: Review, event: str) -> None:
    """The review counts from now on, and events tell of it and of each of its comments."""
    if event not in _STATES:
        raise invalid("PullRequestReview", "event", "invalid")
    if event != "COMMENT" and item.user is call.user:
        verb = "approve" if event == "APPROVE" else "request changes on"
        said = f"Review Can not {verb} your own pull request"
        raise GithubError(422, "Unprocessable Entity", [said])
    comments = [said for said in pull.review_comments if said.review_id == review.id]
    if event != "APPROVE" and not review.body and not comments:
        raise invalid("PullRequestReview", "body", "missing_field")
    review.state, review.submitted_at = _STATES[event], call.world.now()
    if call.user in pull.requested_reviewers:
        pull.requested_reviewers.remove(call.user)
    _tell(call, item, review, "submitted")
    for said in comments:
        _tell_comment(call, item, said, "created")


def _tell(call: Call, item: Issue, review: Review, action: str) -> None:
    shown = pulls.review(call.world, call.repo, item, review)
    shown |= {"state": review.state.lower(), "body": review.body or None}
    pull = pulls.pull_simple(call.world, call.repo, item)
    call.emit("pull_request_review", action, review=shown, pull_request=pull)


def _tell_comment(call: Call, item: Issue, said: ReviewComment, action: str, **more: Any) -> None:
    pull = pulls.pull_simple(call.world, call.repo, item)
    shown = pulls.review_comment(call.world, call.repo, item, said)
    call.emit("pull_request_review_comment", action, comment=shown, pull_request=pull, **more)


@table.add("pulls/list-reviews", f"GET {_PULL}/reviews", needs=_READ)
def list_reviews(call: Call) -> Answer:
    """Reviews, oldest first; a pending one is shown to its author alone."""
    item, pull = pull_of(call)
    seen = [r for r in pull.reviews if r.state != "PENDING" or r.user is call.user]
    shown = [
        pulls.review(call.world, call.repo, item, r) | rendered_body(call, r.body) for r in seen
    ]
    return paged(call, shown)


@table.add("pulls/create-review", f"POST {_PULL}/reviews", needs=_WRITE)
def create_review(call: Call) -> Answer:
    """A review with comments on lines; pending without ``event``."""
    item, pull = pull_of(call)
    body = checked_body("PullRequestReview", call.body.get("body")) or ""
    now, sha = call.world.now(), call.body.get("commit_id") or pull.head_sha
    review = Review(call.world.next_id(), call.user, body, "PENDING", sha, now)
    fresh = [_new_comment(call, pull, review, given) for given in call.body.get("comments") or []]
    pull.reviews.append(review)
    pull.review_comments.extend(fresh)
    if call.body.get("event"):
        try:
            _submit(call, item, pull, review, call.body["event"])
        except GithubError:
            pull.reviews.remove(review)
            pull.review_comments = [c for c in pull.review_comments if c not in fresh]
            raise
    return Answer(200, pulls.review(call.world, call.repo, item, review))


def _review(call: Call) -> tuple[Issue, Pull, Review]:
    item, pull = pull_of(call)
    wanted = call.number("review_id")
    for review in pull.reviews:
        if review.id == wanted:
            return item, pull, review
    raise not_found()


@table.add("pulls/get-review", f"GET {_REVIEW}", needs=_READ)
def get_review(call: Call) -> Answer:
    """One review."""
    item, _, review = _review(call)
    return Answer(200, pulls.review(call.world, call.repo, item, review))


@table.add("pulls/submit-review", f"POST {_REVIEW}/events", needs=_WRITE)
def submit_review(call: Call) -> Answer:
    """Submit a pending review."""
    item, pull, review = _review(call)
    review.body = checked_body("PullRequestReview", call.body.get("body")) or review.body
    _submit(call, item, pull, review, call.body["event"])
    return Answer(200, pulls.review(call.world, call.repo, item, review))


@table.add("pulls/dismiss-review", f"PUT {_REVIEW}/dismissals", needs=_WRITE, role="write")
def dismiss_review(call: Call) -> Answer:
    """The review counts no longer."""
    item, _, review = _review(call)
    review.state = "DISMISSED"
    _tell(call, item, review, "dismissed")
    return Answer(200, pulls.review(call.world, call.repo, item, review))


def _listed(call: Call, item: Issue, comments: list[ReviewComment]) -> list[Json]:
    return [
        pulls.review_comment(call.world, call.repo, item, said) | rendered_body(call, said.body)
        for said in comments
    ]


@table.add("pulls/list-comments-for-review", f"GET {_REVIEW}/comments", needs=_READ)
def review_comments(call: Call) -> Answer:
    """The comments that came with one review."""
    item, pull, review = _review(call)
    return paged(
        call, _listed(call, item, [c for c in pull.review_comments if c.review_id == review.id])
    )


@table.add("pulls/list-review-comments", f"GET {_PULL}/comments", needs=_READ)
def list_review_comments(call: Call) -> Answer:
    """All comments on lines that are no longer pending."""
    item, pull = pull_of(call)
    pending = {review.id for review in pull.reviews if review.state == "PENDING"}
    seen = [said for said in pull.review_comments if said.review_id not in pending]
    return paged(call, _listed(call, item, seen))


@table.add("pulls/create-review-comment", f"POST {_PULL}/comments", needs=_WRITE)
def create_review_comment(call: Call) -> Answer:
    """A comment on a line by itself, or a reply by ``in_reply_to``."""
    item, pull = pull_of(call)
    if call.body.get("in_reply_to"):
        return _reply(call, item, pull, int(call.body["in_reply_to"]))
    review = Review(
        call.world.next_id(), call.user, "", "COMMENTED", pull.head_sha, call.world.now()
    )
    said = _new_comment(call, pull, review, call.body)
    pull.reviews.append(review)
    pull.review_comments.append(said)
    _tell_comment(call, item, said, "created")
    return Answer(201, pulls.review_comment(call.world, call.repo, item, said))


@table.add(
    "pulls/create-reply-for-review-comment",
    f"POST {_PULL}/comments/{{comment_id}}/replies",
    needs=_WRITE,
)
def create_reply(call: Call) -> Answer:
    """Answer in the thread of a comment."""
    item, pull = pull_of(call)
    return _reply(call, item, pull, call.number("comment_id"))


def _reply(call: Call, item: Issue, pull: Pull, to: int) -> Answer:
    first = next((said for said in pull.review_comments if said.id == to), None)
    if first is None:
        raise not_found()
    if first.in_reply_to is not None:
        raise GithubError(422, "Replies to replies are not supported")
    now, text = call.world.now(), checked_body("PullRequestReviewComment", call.body["body"]) or ""
    review = Review(call.world.next_id(), call.user, "", "COMMENTED", pull.head_sha, now)
    said = ReviewComment(
        id=call.world.next_id(),
        user=call.user,
        body=text,
        path=first.path,
        line=first.line,
        side=first.side,
        start_line=first.start_line,
        commit_id=first.commit_id,
        diff_hunk=first.diff_hunk,
        review_id=review.id,
        created_at=now,
        updated_at=now,
        in_reply_to=first.id,
    )
    pull.reviews.append(review)
    pull.review_comments.append(said)
    _tell_comment(call, item, said, "created")
    return Answer(201, pulls.review_comment(call.world, call.repo, item, said))


def _comment(call: Call) -> tuple[Issue, Pull, ReviewComment]:
    wanted = call.number("comment_id")
    for item in call.repo.issues.values():
        for said in item.pull.review_comments if item.pull else ():
            if said.id == wanted and item.pull:
                return item, item.pull, said
    raise not_found()


@table.add("pulls/get-review-comment", f"GET {_COMMENT}", needs=_READ)
def get_review_comment(call: Call) -> Answer:
    """One comment."""
    item, _, said = _comment(call)
    return Answer(200, pulls.review_comment(call.world, call.repo, item, said))


@table.add("pulls/update-review-comment", f"PATCH {_COMMENT}", needs=_WRITE)
def update_review_comment(call: Call) -> Answer:
    """Say it otherwise."""
    item, _, said = _comment(call)
    if said.user is not call.user:
        require_role(call, "write")
    text = checked_body("PullRequestReviewComment", call.body["body"]) or ""
    before, said.body = said.body, text
    said.updated_at = call.world.now()
    _tell_comment(call, item, said, "edited", changes={"body": {"from": before}})
    return Answer(200, pulls.review_comment(call.world, call.repo, item, said))


@table.add("pulls/delete-review-comment", f"DELETE {_COMMENT}", needs=_WRITE)
def delete_review_comment(call: Call) -> Answer:
    """Take it back."""
    item, pull, said = _comment(call)
    if said.user is not call.user:
        require_role(call, "write")
    pull.review_comments.remove(said)
    _tell_comment(call, item, said, "deleted")
    return Answer(204)


@table.add(
    "reactions/create-for-pull-request-review-comment", f"POST {_COMMENT}/reactions", needs=_WRITE
)
def react_to_review_comment(call: Call) -> Answer:
    """An emoji on a comment."""
    return react(call, _comment(call)[2].reactions)


@table.add(
    "reactions/list-for-pull-request-review-comment", f"GET {_COMMENT}/reactions", needs=_READ
)
def review_comment_reactions(call: Call) -> Answer:
    """The emoji on a comment."""
    return paged(call, [basic.reaction(call.world, r) for r in _comment(call)[2].reactions])
