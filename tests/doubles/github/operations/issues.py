"""Operations on issues: themselves, comments, labels, assignees, reactions."""

from functools import partial
from urllib.parse import unquote

from tests.doubles.github import repository as git
from tests.doubles.github import uploads
from tests.doubles.github.auth import require_role
from tests.doubles.github.operations.issue_changes import (
    add_labels,
    assign,
    can_be_assigned,
    emit_item,
    find_comment,
    remove_label,
)
from tests.doubles.github.operations.operation import (
    Answer,
    Call,
    GithubError,
    Table,
    invalid,
    paged,
)
from tests.doubles.github.shapes import basic
from tests.doubles.github.state import Comment, Issue, Json, Pull, stamp

table = Table()
MAX_BODY = 65536
MAX_TITLE = 256
_READ, _WRITE = "issues:read pull_requests:read", "issues:write pull_requests:write"


def checked_body(resource: str, body: str | None) -> str | None:
    """The text of a body, as long as GitHub takes it."""
    if body is not None and len(body) > MAX_BODY:
        raise invalid(resource, "body", "custom", "body is too long (maximum is 65536 characters)")
    return body


def checked_title(title: str) -> str:
    """A title, as long as GitHub takes it; of pull requests the resource is Issue, too."""
    if len(title) > MAX_TITLE:
        said = f"title is too long (maximum is {MAX_TITLE} characters)"
        raise invalid("Issue", "title", "custom", said)
    return title


def _shown(call: Call, item: Issue, status: int = 200) -> Answer:
    extra = {"closed_by": None}
    return Answer(
        status, basic.issue(call.world, call.repo, item) | extra | rendered_body(call, item.body)
    )


def rendered_body(call: Call, text: str | None) -> Json:
    """The text as HTML, for who asks for it."""
    if not uploads.is_rendered(call.accept):
        return {}
    return {"body_html": uploads.rendered(call.world, call.repo, text or "")}


@table.add("issues/list-for-repo", "GET /repos/{owner}/{repo}/issues", needs=_READ)
def list_issues(call: Call) -> Answer:
    """Issues and pull requests by when they were opened, newest first unless asked otherwise."""
    state = call.query.get("state", "open")
    names = {name for name in unquote(call.query.get("labels", "")).split(",") if name}
    since = call.query.get("since", "")
    oldest_first = list(call.repo.issues.values())
    ordered = oldest_first if call.query.get("direction") == "asc" else oldest_first[::-1]
    found = [
        basic.issue(call.world, call.repo, item)
        for item in ordered
        if state in ("all", item.state)
        and call.world.is_listed(item.created_at)
        and names <= {tag.name for tag in item.labels}
        and stamp(item.updated_at) >= since
    ]
    return paged(call, found)


@table.add("issues/create", "POST /repos/{owner}/{repo}/issues", needs="issues:write")
def create_issue(call: Call) -> Answer:
    """A new issue; labels and assignees only from people who may triage."""
    now, repo = call.world.now(), call.repo
    title = str(call.body["title"]).strip()
    if not title:
        raise invalid("Issue", "title", "missing_field")
    item = Issue(
        id=call.world.next_id(),
        number=len(repo.issues) + 1,
        user=call.user,
        title=checked_title(title),
        body=checked_body("Issue", call.body.get("body")),
        created_at=now,
        updated_at=now,
    )
    assignees = call.body.get("assignees") or []
    for login in assignees if call.has_role("triage") else []:
        who = call.world.user(login)
        # Only the operation of its own passes them over.
        if who is None or not can_be_assigned(call, item, who):
            raise invalid("Issue", "assignees", "invalid")
    repo.issues[item.number] = item
    call.emit("issues", "opened", item)
    if call.has_role("triage"):
        names = [
            entry if isinstance(entry, str) else entry["name"]
            for entry in call.body.get("labels") or []
        ]
        add_labels(call, item, names)
        assign(call, item, assignees)
    return _shown(call, item, 201)


@table.add("issues/get", "GET /repos/{owner}/{repo}/issues/{issue_number}", needs=_READ)
def get_issue(call: Call) -> Answer:
    """One issue."""
    return _shown(call, call.issue())


@table.add("issues/update", "PATCH /repos/{owner}/{repo}/issues/{issue_number}", needs=_WRITE)
def update_issue(call: Call) -> Answer:
    """Change title, body or state; the author may, others need triage."""
    item = call.issue()
    if item.user is not call.user:
        require_role(call, "triage")
    changes: Json = {}
    for name in ("title", "body"):
        if call.body.get(name) is not None and call.body[name] != getattr(item, name):
            changes[name] = {"from": getattr(item, name) or ""}
            limit = checked_title if name == "title" else partial(checked_body, "Issue")
            setattr(item, name, limit(call.body[name]))
    item.updated_at = call.world.now()
    if changes:
        emit_item(call, item, "edited", changes=changes)
    if "labels" in call.body:
        names = [e if isinstance(e, str) else e["name"] for e in call.body["labels"] or []]
        for tag in [tag for tag in item.labels if tag.name not in names]:
            remove_label(call, item, tag)
        add_labels(call, item, names)
    if call.body.get("state") in {"open", "closed"}:
        set_state(call, item, call.body["state"], call.body.get("state_reason"))
    return _shown(call, item)


def set_state(call: Call, item: Issue, state: str, reason: str | None = None) -> None:
    """Close or open again, with the event."""
    if item.state == state:
        return
    if state == "open" and item.pull is not None:
        _check_reopened(call, item.pull)
    item.state, item.updated_at = state, call.world.now()
    item.closed_at = call.world.now() if state == "closed" else None
    if item.pull is None:
        item.state_reason = (reason or "completed") if state == "closed" else "reopened"
    emit_item(call, item, "closed" if state == "closed" else "reopened")


def _check_reopened(call: Call, pull: Pull) -> None:
    """GitHub's refusals: pytorch/pytorch#114423, cilium/cilium#47088; why: isaacs/github#361."""
    source = call.world.repo_of_id(pull.head_repo_id) if pull.head_repo_id else call.repo
    tip = git.branch_tip(source.git, pull.head_ref) if source else None
    why = ""
    if source is None or tip is None:
        why = "has been deleted"
    elif tip != pull.head_sha and not git.is_ancestor(source.git, pull.head_sha, tip):
        why = "was force-pushed or recreated"
    if why or tip is None:
        message = f"state cannot be changed. The {pull.head_ref} branch {why}."
        problem = {"resource": "PullRequest", "code": "custom", "field": "state"}
        raise GithubError(422, "Validation Failed", [problem | {"message": message}])
    pull.head_sha = tip


@table.add(
    "issues/lock",
    "PUT /repos/{owner}/{repo}/issues/{issue_number}/lock",
    needs=_WRITE,
    role="triage",
)
def lock(call: Call) -> Answer:
    """Only people who may write can comment from now on."""
    call.issue().locked = True
    emit_item(call, call.issue(), "locked")
    return Answer(204)


@table.add(
    "issues/unlock",
    "DELETE /repos/{owner}/{repo}/issues/{issue_number}/lock",
    needs=_WRITE,
    role="triage",
)
def unlock(call: Call) -> Answer:
    """Everybody can comment again."""
    call.issue().locked = False
    emit_item(call, call.issue(), "unlocked")
    return Answer(204)


@table.add(
    "issues/list-comments", "GET /repos/{owner}/{repo}/issues/{issue_number}/comments", needs=_READ
)
def list_comments(call: Call) -> Answer:
    """The conversation, oldest first."""
    item, since = call.issue(), call.query.get("since", "")
    said = [
        c
        for c in item.comments
        if stamp(c.updated_at) >= since and call.world.is_listed(c.created_at)
    ]
    shown = [
        basic.comment(call.world, call.repo, item, c) | rendered_body(call, c.body) for c in said
    ]
    return paged(call, shown)


@table.add(
    "issues/create-comment",
    "POST /repos/{owner}/{repo}/issues/{issue_number}/comments",
    needs=_WRITE,
)
def create_comment(call: Call) -> Answer:
    """Say something."""
    item, now = call.issue(), call.world.now()
    # Neither may an App with write permission (renovatebot/renovate#6215).
    if item.locked and (call.actor.by_app or not call.has_role("write")):
        raise GithubError(403, "Unable to create comment because issue is locked.")
    text = checked_body("IssueComment", call.body["body"])
    if not text or not text.strip():
        raise invalid("IssueComment", "body", "missing_field")
    said = Comment(call.world.next_id(), call.user, text, now, now)
    item.comments.append(said)
    item.updated_at = now
    body = basic.comment(call.world, call.repo, item, said)
    call.emit("issue_comment", "created", item, comment=body)
    return Answer(201, body)


@table.add(
    "issues/get-comment", "GET /repos/{owner}/{repo}/issues/comments/{comment_id}", needs=_READ
)
def get_comment(call: Call) -> Answer:
    """One comment."""
    item, said = find_comment(call)
    return Answer(200, basic.comment(call.world, call.repo, item, said))


@table.add(
    "issues/update-comment",
    "PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}",
    needs=_WRITE,
)
def update_comment(call: Call) -> Answer:
    """Say it otherwise; one's own, or with the right to write."""
    item, said = find_comment(call)
    if said.user is not call.user:
        require_role(call, "write")
    before = said.body
    said.body = checked_body("IssueComment", call.body["body"]) or ""
    said.updated_at = call.world.now()
    body = basic.comment(call.world, call.repo, item, said)
    changes = {"body": {"from": before}}
    call.emit("issue_comment", "edited", item, comment=body, changes=changes)
    return Answer(200, body)


@table.add(
    "issues/delete-comment",
    "DELETE /repos/{owner}/{repo}/issues/comments/{comment_id}",
    needs=_WRITE,
)
def delete_comment(call: Call) -> Answer:
    """Take it back."""
    item, said = find_comment(call)
    if said.user is not call.user:
        require_role(call, "write")
    item.comments.remove(said)
    body = basic.comment(call.world, call.repo, item, said)
    call.emit("issue_comment", "deleted", item, comment=body)
    return Answer(204)
