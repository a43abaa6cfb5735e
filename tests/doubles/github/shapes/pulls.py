"""JSON of pull requests, reviews, commits, files and checks, as GitHub writes it."""

from urllib.parse import quote

from tests.doubles.github import repository as git
from tests.doubles.github.rules import push_rules, required_reviews
from tests.doubles.github.shapes.basic import (
    association,
    label,
    maybe,
    reactions,
    repo_page,
    repo_url,
    repository,
    user,
)
from tests.doubles.github.state import (
    Issue,
    Json,
    Pull,
    Repo,
    Review,
    ReviewComment,
    User,
    World,
    node_id,
    stamp,
)


def pull_simple(world: World, repo: Repo, item: Issue) -> Json:
    """A pull request as lists and review events carry it."""
    assert item.pull is not None
    pull, api = item.pull, repo_url(world, repo)
    url, page = f"{api}/pulls/{item.number}", f"{repo_page(world, repo)}/pull/{item.number}"
    issue_url = f"{api}/issues/{item.number}"
    people = [user(world.urls, who) for who in item.assignees]
    links = {
        "self": url,
        "html": page,
        "issue": issue_url,
        "comments": f"{issue_url}/comments",
        "review_comments": f"{url}/comments",
        "review_comment": f"{api}/pulls/comments{{/number}}",
        "commits": f"{url}/commits",
        "statuses": f"{api}/statuses/{pull.head_sha}",
    }
    return {
        "url": url,
        "id": pull.id,
        "node_id": node_id("PullRequest", pull.id),
        "html_url": page,
        "diff_url": f"{page}.diff",
        "patch_url": f"{page}.patch",
        "issue_url": issue_url,
        "number": item.number,
        "state": item.state,
        "locked": item.locked,
        "title": item.title,
        "user": user(world.urls, item.user),
        "body": item.body,
        "created_at": stamp(item.created_at),
        "updated_at": stamp(item.updated_at),
        "closed_at": maybe(item.closed_at),
        "merged_at": maybe(pull.merged_at),
        "merge_commit_sha": pull.merge_commit_sha,
        "assignee": people[0] if people else None,
        "assignees": people,
        "requested_reviewers": [user(world.urls, who) for who in pull.requested_reviewers],
        "requested_teams": [],
        # A pull request's labels have no null description in GitHub's schema; an issue's may.
        "labels": [
            {**told, "description": told["description"] or ""}
            for told in (label(world, repo, tag) for tag in item.labels)
        ],
        "milestone": None,
        "draft": pull.draft,
        "commits_url": links["commits"],
        "review_comments_url": links["review_comments"],
        "review_comment_url": links["review_comment"],
        "comments_url": links["comments"],
        "statuses_url": links["statuses"],
        "head": _head(world, repo, pull),
        "base": _side(world, repo, pull.base_ref, pull.base_sha),
        "_links": {name: {"href": target} for name, target in links.items()},
        "author_association": association(repo, item.user),
        "auto_merge": None,
        "active_lock_reason": None,
    }


def _head(world: World, repo: Repo, pull: Pull) -> Json:
    """Where its branch lies; GitHub names no repository and nobody once the fork is gone."""
    if not pull.head_repo_id:
        return _side(world, repo, pull.head_ref, pull.head_sha)
    fork = world.repo_of_id(pull.head_repo_id)
    if fork is not None:
        return _side(world, fork, pull.head_ref, pull.head_sha)
    gone = {"label": f"unknown repository:{pull.head_ref}", "ref": pull.head_ref}
    return {**gone, "sha": pull.head_sha, "user": None, "repo": None}


def _side(world: World, repo: Repo, ref: str, sha: str) -> Json:
    return {
        "label": f"{repo.owner.login}:{ref}",
        "ref": ref,
        "sha": sha,
        "user": user(world.urls, repo.owner),
        "repo": repository(world, repo),
    }


def pull_full(world: World, repo: Repo, item: Issue) -> Json:
    """The answer of ``GET …/pulls/{number}``, and what ``pull_request`` events carry."""
    assert item.pull is not None
    pull = item.pull
    files = git.changes(repo.git, pull.base_sha, pull.head_sha)
    mergeable, state = mergeability(repo, item)
    return pull_simple(world, repo, item) | {
        "merged": pull.merged_at is not None,
        "mergeable": mergeable,
        "rebaseable": mergeable,
        "mergeable_state": state,
        "merged_by": user(world.urls, pull.merged_by) if pull.merged_by else None,
        "comments": len(item.comments),
        "review_comments": len(pull.review_comments),
        "maintainer_can_modify": pull.maintainer_can_modify,
        "commits": len(git.commits_between(repo.git, pull.base_sha, pull.head_sha)),
        "additions": sum(file.additions for file in files),
        "deletions": sum(file.deletions for file in files),
        "changed_files": len(files),
    }


def merge_of(repo: Repo, pull: Pull) -> tuple[str, str]:
    """Base and head of the merge that would be made now."""
    return git.branch_tip(repo.git, pull.base_ref) or "", pull.head_sha


def mergeability(repo: Repo, item: Issue) -> tuple[bool | None, str]:
    """``mergeable`` and ``mergeable_state``, from a merge tried against the base as it is now.

    Null until GitHub has tried: "Checking mergeability of pull requests" at docs.github.com.
    """
    assert item.pull is not None
    pull, (base, head) = item.pull, merge_of(repo, item.pull)
    if item.state != "open" or not base or pull.mergeable_of != (base, head):
        return None, "unknown"
    if git.merge_tree(repo.git, base, head) is None:
        return False, "dirty"
    if pull.draft:
        return True, "draft"
    return True, "blocked" if required_reviews.refusal(repo, item) else "clean"


def review(world: World, repo: Repo, item: Issue, given: Review) -> Json:
    """A review, its state as the REST API spells it."""
    pull_url = f"{repo_url(world, repo)}/pulls/{item.number}"
    page = f"{repo_page(world, repo)}/pull/{item.number}#pullrequestreview-{given.id}"
    return {
        "id": given.id,
        "node_id": node_id("PullRequestReview", given.id),
        "user": user(world.urls, given.user),
        "body": given.body,
        "state": given.state,
        "html_url": page,
        "pull_request_url": pull_url,
        "author_association": association(repo, given.user),
        "_links": {"html": {"href": page}, "pull_request": {"href": pull_url}},
        "submitted_at": stamp(given.submitted_at),
        "commit_id": given.commit_id,
    }


def review_comment(world: World, repo: Repo, item: Issue, said: ReviewComment) -> Json:
    """A comment on a line of the diff."""
    api = repo_url(world, repo)
    url, pull_url = f"{api}/pulls/comments/{said.id}", f"{api}/pulls/{item.number}"
    page = f"{repo_page(world, repo)}/pull/{item.number}#discussion_r{said.id}"
    body = {
        "url": url,
        "pull_request_review_id": said.review_id,
        "id": said.id,
        "node_id": node_id("PullRequestReviewComment", said.id),
        "diff_hunk": said.diff_hunk,
        "path": said.path,
        "position": 1,
        "original_position": 1,
        "commit_id": said.commit_id,
        "original_commit_id": said.commit_id,
        "user": user(world.urls, said.user),
        "body": said.body,
        "created_at": stamp(said.created_at),
        "updated_at": stamp(said.updated_at),
        "html_url": page,
        "pull_request_url": pull_url,
        "author_association": association(repo, said.user),
        "_links": {
            "self": {"href": url},
            "html": {"href": page},
            "pull_request": {"href": pull_url},
        },
        "reactions": reactions(url, said.reactions),
        "start_line": said.start_line,
        "original_start_line": said.start_line,
        "start_side": said.side if said.start_line else None,
        "line": said.line,
        "original_line": said.line or 1,
        "side": said.side,
        "subject_type": "line" if said.line else "file",
    }
    if said.in_reply_to is not None:
        body["in_reply_to_id"] = said.in_reply_to
    return body


def file_entry(world: World, repo: Repo, head: str, change: git.FileChange) -> Json:
    """One changed file of a pull request or a comparison."""
    path, page = quote(change.path), repo_page(world, repo)
    entry = {
        "sha": change.sha,
        "filename": change.path,
        "status": change.status,
        "additions": change.additions,
        "deletions": change.deletions,
        "changes": change.additions + change.deletions,
        "blob_url": f"{page}/blob/{head}/{path}",
        "raw_url": f"{page}/raw/{head}/{path}",
        "contents_url": f"{repo_url(world, repo)}/contents/{path}?ref={head}",
    }
    if change.patch:
        entry["patch"] = change.patch
    if change.old_path != change.path:
        entry["previous_filename"] = change.old_path
    return entry


def _person(who: git.Person) -> Json:
    return {"name": who.name, "email": who.email, "date": who.date}


_UNSIGNED = {
    "verified": False,
    "reason": "unsigned",
    "signature": None,
    "payload": None,
    "verified_at": None,
}


def git_commit(world: World, repo: Repo, found: git.Commit) -> Json:
    """A commit of the git database API."""
    api = f"{repo_url(world, repo)}/git"
    page = f"{repo_page(world, repo)}/commit"
    return {
        "sha": found.sha,
        "node_id": node_id("Commit", int(found.sha[:12], 16)),
        "url": f"{api}/commits/{found.sha}",
        "html_url": f"{page}/{found.sha}",
        "author": _person(found.author),
        "committer": _person(found.committer),
        "message": found.message,
        "tree": {"url": f"{api}/trees/{found.tree}", "sha": found.tree},
        "parents": [
            {"url": f"{api}/commits/{p}", "html_url": f"{page}/{p}", "sha": p}
            for p in found.parents
        ],
        "verification": _verification(repo, found.sha),
    }


def _verification(repo: Repo, sha: str) -> Json:
    """https://docs.github.com/rest/git/commits#get-a-commit-object, "Signature verification"."""
    signature, payload = git.signature(repo.git, sha)
    if not signature:
        return _UNSIGNED
    verified = push_rules.verified_in(repo.git, sha)
    return {
        "verified": verified,
        "reason": "valid" if verified else "unknown_key",
        "signature": signature,
        "payload": payload,
        "verified_at": "2026-01-01T00:00:00Z" if verified else None,
    }


def commit(world: World, repo: Repo, found: git.Commit) -> Json:
    """A commit of the repository API."""
    inner = git_commit(world, repo, found)
    url = f"{repo_url(world, repo)}/commits/{found.sha}"
    return {
        "sha": found.sha,
        "node_id": inner["node_id"],
        "url": url,
        "html_url": inner["html_url"],
        "comments_url": f"{url}/comments",
        "commit": {
            "url": inner["url"],
            "author": inner["author"],
            "committer": inner["committer"],
            "message": found.message,
            "tree": inner["tree"],
            "comment_count": 0,
            "verification": inner["verification"],
        },
        "author": _account(world, found.author.email),
        "committer": _account(world, found.committer.email),
        "parents": [
            {
                "url": f"{repo_url(world, repo)}/commits/{p['sha']}",
                "html_url": p["html_url"],
                "sha": p["sha"],
            }
            for p in inner["parents"]
        ],
    }


def _account(world: World, email: str) -> Json | None:
    """The user of a ``[ID+]LOGIN@users.noreply…`` address."""
    login = email.partition("@")[0].rpartition("+")[2]
    known: User | None = world.user(login) if "noreply" in email else None
    return user(world.urls, known) if known else None
