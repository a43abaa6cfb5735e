"""Operations on what hangs on an issue: labels, assignees, reactions."""

from tests.doubles.github.operations.issue_changes import (
    add_labels,
    assign,
    emit_item,
    find_comment,
    known_label,
    react,
    remove_label,
)
from tests.doubles.github.operations.operation import (
    Answer,
    Call,
    GithubError,
    Table,
    invalid,
    not_found,
    paged,
)
from tests.doubles.github.shapes import basic
from tests.doubles.github.state import Issue, Reaction

table = Table()
_READ, _WRITE = "issues:read pull_requests:read", "issues:write pull_requests:write"
MAX_DESCRIPTION = 100
_ISSUE = "/repos/{owner}/{repo}/issues/{issue_number}"


def _shown(call: Call, item: Issue, status: int = 200) -> Answer:
    return Answer(status, basic.issue(call.world, call.repo, item))


def _labels(call: Call, item: Issue) -> Answer:
    return Answer(200, [basic.label(call.world, call.repo, tag) for tag in item.labels])


@table.add(
    "issues/list-labels-on-issue",
    "GET /repos/{owner}/{repo}/issues/{issue_number}/labels",
    needs=_READ,
)
def list_labels(call: Call) -> Answer:
    """The labels on it."""
    return _labels(call, call.issue())


@table.add(
    "issues/add-labels",
    "POST /repos/{owner}/{repo}/issues/{issue_number}/labels",
    needs=_WRITE,
    role="triage",
)
def post_labels(call: Call) -> Answer:
    """Put labels on."""
    given = call.body.get("labels", []) if isinstance(call.body, dict) else call.body
    add_labels(call, call.issue(), [e if isinstance(e, str) else e["name"] for e in given])
    return _labels(call, call.issue())


@table.add("issues/set-labels", f"PUT {_ISSUE}/labels", needs=_WRITE, role="triage")
def set_labels(call: Call) -> Answer:
    """Exactly these labels."""
    item = call.issue()
    given = call.body.get("labels", []) if isinstance(call.body, dict) else call.body
    names = [entry if isinstance(entry, str) else entry["name"] for entry in given]
    for tag in [tag for tag in item.labels if tag.name not in names]:
        remove_label(call, item, tag)
    add_labels(call, item, names)
    return _labels(call, item)


@table.add("issues/remove-all-labels", f"DELETE {_ISSUE}/labels", needs=_WRITE, role="triage")
def remove_all_labels(call: Call) -> Answer:
    """No labels."""
    for tag in list(call.issue().labels):
        remove_label(call, call.issue(), tag)
    return Answer(204)


@table.add(
    "issues/remove-label",
    "DELETE /repos/{owner}/{repo}/issues/{issue_number}/labels/{name}",
    needs=_WRITE,
    role="triage",
)
def delete_label(call: Call) -> Answer:
    """Take a label off."""
    item = call.issue()
    for tag in item.labels:
        if tag.name.lower() == call.path["name"].lower():
            remove_label(call, item, tag)
            return _labels(call, item)
    raise GithubError(404, "Label does not exist")


@table.add("issues/get-label", "GET /repos/{owner}/{repo}/labels/{name}", needs=_READ)
def get_label(call: Call) -> Answer:
    """One label of the repository."""
    tag = call.repo.labels.get(call.path["name"].lower())
    if tag is None:
        raise not_found()
    return Answer(200, basic.label(call.world, call.repo, tag))


@table.add("issues/list-labels-for-repo", "GET /repos/{owner}/{repo}/labels", needs=_READ)
def list_repo_labels(call: Call) -> Answer:
    """All labels of the repository."""
    return paged(call, [basic.label(call.world, call.repo, t) for t in call.repo.labels.values()])


@table.add("issues/create-label", "POST /repos/{owner}/{repo}/labels", needs=_WRITE, role="write")
def create_label(call: Call) -> Answer:
    """A new label."""
    name = call.body["name"]
    if name.lower() in call.repo.labels:
        raise invalid("Label", "name", "already_exists")
    if len(call.body.get("description") or "") > MAX_DESCRIPTION:
        said = f"description is too long (maximum is {MAX_DESCRIPTION} characters)"
        raise invalid("Label", "description", "custom", said)
    tag = known_label(call, name)
    tag.color = call.body.get("color") or tag.color
    tag.description = call.body.get("description")
    return Answer(201, basic.label(call.world, call.repo, tag))


@table.add(
    "issues/delete-label",
    "DELETE /repos/{owner}/{repo}/labels/{name}",
    needs=_WRITE,
    role="write",
)
def delete_repository_label(call: Call) -> Answer:
    """Delete a label, which takes it off everything ("Managing labels")."""
    tag = call.repo.labels.pop(call.path["name"].lower(), None)
    if tag is None:
        raise not_found()
    for item in call.repo.issues.values():
        if tag in item.labels:
            item.labels.remove(tag)
    return Answer(204)


@table.add(
    "issues/add-assignees",
    "POST /repos/{owner}/{repo}/issues/{issue_number}/assignees",
    needs=_WRITE,
    role="triage",
)
def add_assignees(call: Call) -> Answer:
    """Assign people."""
    assign(call, call.issue(), call.body.get("assignees", []))
    return _shown(call, call.issue(), 201)


@table.add(
    "issues/remove-assignees",
    "DELETE /repos/{owner}/{repo}/issues/{issue_number}/assignees",
    needs=_WRITE,
    role="triage",
)
def remove_assignees(call: Call) -> Answer:
    """Assign no longer."""
    item = call.issue()
    for who in [w for w in item.assignees if w.login in call.body.get("assignees", [])]:
        item.assignees.remove(who)
        emit_item(call, item, "unassigned", assignee=basic.user(call.world.urls, who))
    return _shown(call, item)


@table.add(
    "reactions/create-for-issue",
    "POST /repos/{owner}/{repo}/issues/{issue_number}/reactions",
    needs=_WRITE,
)
def react_to_issue(call: Call) -> Answer:
    """An emoji on the issue."""
    return react(call, call.issue().reactions)


@table.add(
    "reactions/list-for-issue",
    "GET /repos/{owner}/{repo}/issues/{issue_number}/reactions",
    needs=_READ,
)
def issue_reactions(call: Call) -> Answer:
    """The emoji on the issue."""
    return paged(call, [basic.reaction(call.world, r) for r in call.issue().reactions])


@table.add(
    "reactions/create-for-issue-comment",
    "POST /repos/{owner}/{repo}/issues/comments/{comment_id}/reactions",
    needs=_WRITE,
)
def react_to_comment(call: Call) -> Answer:
    """An emoji on a comment."""
    return react(call, find_comment(call)[1].reactions)


@table.add(
    "reactions/list-for-issue-comment",
    "GET /repos/{owner}/{repo}/issues/comments/{comment_id}/reactions",
    needs=_READ,
)
def comment_reactions(call: Call) -> Answer:
    """The emoji on a comment."""
    return paged(call, [basic.reaction(call.world, r) for r in find_comment(call)[1].reactions])


def _unreact(call: Call, given: list[Reaction]) -> Answer:
    for known in given:
        if known.id == call.number("reaction_id") and known.user is call.user:
            given.remove(known)
            return Answer(204)
    raise not_found()


@table.add("reactions/delete-for-issue", f"DELETE {_ISSUE}/reactions/{{reaction_id}}", needs=_WRITE)
def unreact_to_issue(call: Call) -> Answer:
    """Take one's emoji back."""
    return _unreact(call, call.issue().reactions)


@table.add(
    "reactions/delete-for-issue-comment",
    "DELETE /repos/{owner}/{repo}/issues/comments/{comment_id}/reactions/{reaction_id}",
    needs=_WRITE,
)
def unreact_to_comment(call: Call) -> Answer:
    """Take one's emoji back."""
    return _unreact(call, find_comment(call)[1].reactions)
