"""Operations on pull requests: create, read, change, merge, files, commits, requested reviewers."""

import itertools
from functools import partial

from tests.doubles.github import repository as git
from tests.doubles.github.auth import require_role
from tests.doubles.github.operations.issue_changes import emit_item
from tests.doubles.github.operations.issues import checked_body, checked_title, set_state
from tests.doubles.github.operations.operation import (
    Answer,
    Call,
    GithubError,
    Table,
    invalid,
    not_found,
    paged,
)
from tests.doubles.github.pushes import noreply, refs_changed
from tests.doubles.github.rules import required_reviews
from tests.doubles.github.shapes import basic, pulls
from tests.doubles.github.state import Issue, Json, Pull, Repo

table = Table()
_READ, _WRITE = "pull_requests:read", "pull_requests:write"
_ONE = "/repos/{owner}/{repo}/pulls/{pull_number}"


def pull_of(call: Call) -> tuple[Issue, Pull]:
    """The pull request that the path names."""
    item = call.issue("pull_number")
    if item.pull is None:
        raise not_found()
    return item, item.pull


def _text(text: str) -> Answer:
    return Answer(200, text, media="text/plain; charset=utf-8")


@table.add("pulls/list", "GET /repos/{owner}/{repo}/pulls", needs=_READ)
def list_pulls(call: Call) -> Answer:
    """Pull requests by state, head (``owner:branch``) and base; newest first."""
    state, query = call.query.get("state", "open"), call.query
    items = list(call.repo.issues.values())
    if query.get("direction", "desc") == "desc":
        items.reverse()
    found = [
        pulls.pull_simple(call.world, call.repo, item)
        for item in items
        if item.pull
        and call.world.is_listed(item.created_at)
        and state in ("all", item.state)
        and query.get("head", _head(call, item.pull)) == _head(call, item.pull)
        and query.get("base", item.pull.base_ref) == item.pull.base_ref
    ]
    return paged(call, found)


def _head(call: Call, pull: Pull) -> str:
    """``owner:branch`` of where it comes from."""
    source = call.world.repo_of_id(pull.head_repo_id) if pull.head_repo_id else call.repo
    return f"{source.owner.login if source else 'unknown'}:{pull.head_ref}"


@table.add("pulls/create", "POST /repos/{owner}/{repo}/pulls", needs=_WRITE)
def create_pull(call: Call) -> Answer:
    """A new pull request, its branches checked against the real repository."""
    repo, now = call.repo, call.world.now()
    base, head = str(call.body["base"]), str(call.body["head"])
    owner, colon, branch = head.partition(":")
    branch = branch if colon else head
    source: Repo | None = repo
    if colon and owner.lower() != repo.owner.login.lower():
        source = call.world.fork_of(repo, owner)
    if source is None:
        raise invalid("PullRequest", "head", "invalid")
    if repo.pull_creation == "none":
        raise not_found()
    if repo.pull_creation == "collaborators" and call.actor.by_app:
        raise _custom("must be a collaborator")  # codespell-project/codespell#3839
    if call.body.get("draft") and not repo.drafts:
        # SWE-agent/SWE-agent#179: no "Validation Failed", and no list of errors.
        raise GithubError(422, "Draft pull requests are not supported in this repository.")
    base_sha, head_sha = git.branch_tip(repo.git, base), git.branch_tip(source.git, branch)
    if base_sha is None:
        raise invalid("PullRequest", "base", "invalid")
    if head_sha is None:
        raise invalid("PullRequest", "head", "invalid")
    head_repo_id = 0 if source is repo else source.id
    if _open_pull(call, branch, base, head_repo_id):
        raise _custom(f"A pull request already exists for {source.owner.login}:{branch}.")
    number = len(repo.issues) + 1
    git.keep_pull_head(repo.git, source.git, number, head_sha)  # a fork's commit has to be here
    try:
        if not git.commits_between(repo.git, base_sha, head_sha):
            raise _custom(f"No commits between {base} and {branch}")
        if git.merge_base(repo.git, base_sha, head_sha) is None:
            raise _custom(f"The {branch} branch has no history in common with {base}")
    except GithubError:
        git.drop_pull_head(repo.git, number)
        raise
    item = Issue(
        id=call.world.next_id(),
        number=number,
        user=call.user,
        title=checked_title(str(call.body.get("title") or branch)),
        body=checked_body("PullRequest", call.body.get("body")),
        created_at=now,
        updated_at=now,
        pull=Pull(
            id=call.world.next_id(),
            head_ref=branch,
            base_ref=base,
            head_sha=head_sha,
            base_sha=base_sha,
            draft=bool(call.body.get("draft", False)),
            head_repo_id=head_repo_id,
            pushed_by=source.pushers.get(branch, ""),
        ),
    )
    repo.issues[item.number] = item
    emit_item(call, item, "opened")
    return Answer(201, pulls.pull_full(call.world, repo, item))


def _custom(message: str) -> GithubError:
    return GithubError(
        422,
        "Validation Failed",
        [{"resource": "PullRequest", "code": "custom", "message": message}],
    )


def _open_pull(call: Call, head: str, base: str, head_repo_id: int) -> bool:
    return any(
        item.pull
        and item.state == "open"
        and (item.pull.head_ref, item.pull.base_ref) == (head, base)
        and item.pull.head_repo_id == head_repo_id
        for item in call.repo.issues.values()
    )


@table.add("pulls/get", f"GET {_ONE}", needs=_READ)
def get_pull(call: Call) -> Answer:
    """One pull request, or its diff by the Accept header."""
    item, pull = pull_of(call)
    if "diff" in call.accept:
        return _text(git.diff(call.repo.git, pull.base_sha, pull.head_sha))
    if "patch" in call.accept:
        span = f"{pull.base_sha}..{pull.head_sha}"
        return _text(git.run(call.repo.git, "format-patch", "--stdout", span))
    shown = pulls.pull_full(call.world, call.repo, item)
    # Tried now, in the background: the next who asks is told.
    pull.mergeable_of = pulls.merge_of(call.repo, pull)
    return Answer(200, shown)


@table.add("pulls/update", f"PATCH {_ONE}", needs=_WRITE)
def update_pull(call: Call) -> Answer:
    """Change title, body, base or state; the author may, others need write."""
    item, pull = pull_of(call)
    if item.user is not call.user:
        require_role(call, "write")
    changes: Json = {}
    for name in ("title", "body"):
        if name in call.body and call.body[name] != getattr(item, name):
            changes[name] = {"from": getattr(item, name) or ""}
            limit = checked_title if name == "title" else partial(checked_body, "PullRequest")
            setattr(item, name, limit(call.body[name]))
    base = call.body.get("base", pull.base_ref)
    if base != pull.base_ref:
        tip = git.branch_tip(call.repo.git, base)
        if tip is None:
            raise invalid("PullRequest", "base", "invalid")
        changes["base"] = {"ref": {"from": pull.base_ref}, "sha": {"from": pull.base_sha}}
        pull.base_ref, pull.base_sha = base, tip
    item.updated_at = call.world.now()
    if changes:
        emit_item(call, item, "edited", changes=changes)
    if call.body.get("state") in {"open", "closed"}:
        if call.body["state"] == "open" and pull.merged_at is not None:
            raise invalid("PullRequest", "state", "invalid")
        set_state(call, item, call.body["state"])
    return Answer(200, pulls.pull_full(call.world, call.repo, item))


def set_draft(call: Call, item: Issue, draft: bool) -> None:
    """Make it a draft, or ready for review, with the event."""
    assert item.pull is not None
    if item.pull.draft != draft:
        item.pull.draft = draft
        item.updated_at = call.world.now()
        emit_item(call, item, "converted_to_draft" if draft else "ready_for_review")


@table.add("pulls/check-if-merged", f"GET {_ONE}/merge", needs=_READ)
def is_merged(call: Call) -> Answer:
    """204 when merged, else 404."""
    if pull_of(call)[1].merged_at is None:
        raise not_found()
    return Answer(204)


@table.add("pulls/merge", f"PUT {_ONE}/merge", needs="contents:write", role="write")
def merge(call: Call) -> Answer:
    """A real merge (or squash) on the base branch; closes the issues that its body names."""
    item, pull = pull_of(call)
    repo, world = call.repo, call.world
    if item.state != "open" or pull.draft:
        raise GithubError(405, "Pull Request is not mergeable")
    if call.body.get("sha") not in (None, pull.head_sha):
        raise GithubError(409, "Head branch was modified. Review and try the merge again.")
    base = git.branch_tip(repo.git, pull.base_ref) or pull.base_sha
    tree = git.merge_tree(repo.git, base, pull.head_sha)
    if tree is None:
        raise GithubError(405, "Pull Request is not mergeable")
    if missing := required_reviews.refusal(repo, item):
        raise GithubError(405, missing)
    method = call.body.get("merge_method", "merge")
    parents = [base, pull.head_sha] if method == "merge" else [base]
    said = call.body.get("commit_title") or f"Merge pull request #{item.number}: {item.title}"
    who = (call.user.login, noreply(call.user))
    sha = git.commit_tree(repo.git, tree, parents, said, who, world.now())
    pull.merged_at, pull.merged_by, pull.merge_commit_sha = world.now(), call.user, sha
    item.state, item.closed_at, item.updated_at = "closed", world.now(), world.now()
    ref = f"refs/heads/{pull.base_ref}"
    git.set_ref(repo.git, ref, sha, base)
    emit_item(call, item, "closed")
    refs_changed(world, call.hooks, repo, call.user, {ref: (base, sha)})
    if pull.base_ref == repo.default_branch:
        _close_fixed(call, item)
    return Answer(200, {"sha": sha, "merged": True, "message": "Pull Request successfully merged"})


def _close_fixed(call: Call, item: Issue) -> None:
    words = (item.body or "").replace(":", " ").lower().split()
    for verb, target in itertools.pairwise(words):
        number = target.strip("#.,;!)")
        if verb in _CLOSING and target.startswith("#") and number.isdigit():
            issue = call.repo.issues.get(int(number))
            if issue is not None and issue.pull is None:
                set_state(call, issue, "closed")


_CLOSING = {"close", "closes", "closed", "fix", "fixes", "fixed", "resolve", "resolves", "resolved"}


@table.add("pulls/list-files", f"GET {_ONE}/files", needs=_READ)
def list_files(call: Call) -> Answer:
    """What it changes."""
    _, pull = pull_of(call)
    found = git.changes(call.repo.git, pull.base_sha, pull.head_sha)
    head = pull.head_sha
    return paged(call, [pulls.file_entry(call.world, call.repo, head, f) for f in found])


@table.add("pulls/list-commits", f"GET {_ONE}/commits", needs=_READ)
def list_pull_commits(call: Call) -> Answer:
    """Its commits, oldest first."""
    _, pull = pull_of(call)
    shas = git.commits_between(call.repo.git, pull.base_sha, pull.head_sha)
    found = [git.commit(call.repo.git, sha) for sha in shas]
    return paged(call, [pulls.commit(call.world, call.repo, item) for item in found])


@table.add("pulls/request-reviewers", f"POST {_ONE}/requested_reviewers", needs=_WRITE)
def request_reviewers(call: Call) -> Answer:
    """Ask people for a review; the author cannot be asked."""
    item, pull = pull_of(call)
    people = [call.world.user(login) for login in call.body.get("reviewers", [])]
    if item.user in people:
        raise GithubError(422, "Review cannot be requested from pull request author.")
    strangers = [who for who in people if who is None or not call.repo.is_collaborator(who)]
    if strangers or call.body.get("team_reviewers"):  # there are no teams here
        raise GithubError(
            422,
            "Reviews may only be requested from collaborators. One or more of the users or teams "
            f"you specified is not a collaborator of the {call.repo.full_name} repository.",
        )
    for who in people:
        assert who is not None
        if who not in pull.requested_reviewers:
            pull.requested_reviewers.append(who)
            person = basic.user(call.world.urls, who)
            emit_item(call, item, "review_requested", requested_reviewer=person)
    return Answer(201, pulls.pull_simple(call.world, call.repo, item))


@table.add("pulls/list-requested-reviewers", f"GET {_ONE}/requested_reviewers", needs=_READ)
def requested_reviewers(call: Call) -> Answer:
    """Who was asked and has not reviewed."""
    people = pull_of(call)[1].requested_reviewers
    return Answer(200, {"users": [basic.user(call.world.urls, w) for w in people], "teams": []})


@table.add("pulls/remove-requested-reviewers", f"DELETE {_ONE}/requested_reviewers", needs=_WRITE)
def remove_reviewers(call: Call) -> Answer:
    """Ask them no longer."""
    item, pull = pull_of(call)
    gone = set(call.body.get("reviewers", []))
    pull.requested_reviewers = [who for who in pull.requested_reviewers if who.login not in gone]
    return Answer(200, pulls.pull_simple(call.world, call.repo, item))
