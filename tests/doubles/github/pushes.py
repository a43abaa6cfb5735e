"""What follows when refs moved: pull requests follow their branch, and events are sent."""

from tests.doubles.github import repository as git
from tests.doubles.github.operations.operation import Hooks
from tests.doubles.github.rules import required_reviews
from tests.doubles.github.shapes import basic, pulls
from tests.doubles.github.state import Issue, Json, Repo, User, World

Moves = dict[str, tuple[str, str]]


def compare_refs(before: dict[str, str], after: dict[str, str]) -> Moves:
    """Each ref that changed, with its old and new object."""
    return {
        name: (before.get(name, git.ZERO), after.get(name, git.ZERO))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    }


def refs_changed(world: World, hooks: Hooks, repo: Repo, who: User, moves: Moves) -> None:
    """Update pull requests and send ``push`` and ``pull_request`` events for moved refs."""
    repo.pushed_at = world.now()
    for name, (old, new) in moves.items():
        if name.startswith(("refs/heads/", "refs/tags/")):  # of other refs GitHub tells nobody
            hooks.emit("push", repo, who, _push(world, repo, who, name, old, new))
        if not name.startswith("refs/heads/"):
            continue
        branch = name.removeprefix("refs/heads/")
        repo.pushers[branch] = who.login
        for item in list(repo.issues.values()):
            pull = item.pull
            if pull is None or item.state != "open":
                continue
            if pull.base_ref == branch and new != git.ZERO:
                pull.base_sha = new
            elif pull.base_ref == branch:
                _closed(world, hooks, repo, who, item)
            if pull.head_ref == branch and not pull.head_repo_id:
                _head_moved(world, hooks, repo, repo, who, item, (old, new))
        parent = world.repo_of_id(repo.parent_id) if repo.parent_id else None
        for item in list(parent.issues.values()) if parent else ():
            pull = item.pull
            if pull is None or item.state != "open" or parent is None:
                continue
            if pull.head_ref == branch and pull.head_repo_id == repo.id:
                _head_moved(world, hooks, parent, repo, who, item, (old, new))


def _head_moved(
    world: World,
    hooks: Hooks,
    repo: Repo,
    source: Repo,
    who: User,
    item: Issue,
    move: tuple[str, str],
) -> None:
    """A pull request follows its branch, which lies in `source`."""
    assert item.pull is not None
    item.updated_at = world.now()
    body: Json = {"number": item.number}
    old, new = move
    if new == git.ZERO:
        if not source.closes_pulls:
            return
        _closed(world, hooks, repo, who, item)
        return
    git.keep_pull_head(repo.git, source.git, item.number, new)
    item.pull.head_sha, item.pull.pushed_by = new, who.login
    required_reviews.dismiss_stale(repo, item.pull)
    body |= {"action": "synchronize", "before": old, "after": new}
    body["pull_request"] = pulls.pull_full(world, repo, item)
    hooks.emit("pull_request", repo, who, body)


def _closed(world: World, hooks: Hooks, repo: Repo, who: User, item: Issue) -> None:
    """A pull request ends with its branch, and with the one that it is onto."""
    item.state, item.closed_at, item.updated_at = "closed", world.now(), world.now()
    body: Json = {"number": item.number, "action": "closed"}
    hooks.emit(
        "pull_request", repo, who, body | {"pull_request": pulls.pull_full(world, repo, item)}
    )


def _push(world: World, repo: Repo, who: User, name: str, old: str, new: str) -> Json:
    page = basic.repo_page(world, repo)
    created, deleted = old == git.ZERO, new == git.ZERO
    commits: list[Json] = []
    if not deleted:
        known = git.branch_tip(repo.git, repo.default_branch) if created else old
        fresh = git.commits_between(repo.git, known, new) if known and known != new else []
        commits = [_commit(page, git.commit(repo.git, sha)) for sha in fresh[-20:]]
    head = (
        None if deleted else _commit(page, git.commit(repo.git, git.resolve(repo.git, new) or new))
    )
    forced = not (created or deleted) and not git.is_ancestor(repo.git, old, new)
    return {
        "ref": name,
        "before": old,
        "after": new,
        "created": created,
        "deleted": deleted,
        "forced": forced,
        "base_ref": None,
        "compare": f"{page}/compare/{old[:12]}...{new[:12]}",
        "commits": commits,
        "head_commit": head,
        "pusher": {"name": who.login, "email": noreply(who)},
    }


def noreply(who: User) -> str:
    """The address under which the stand-in commits for a user."""
    return f"{who.id}+{who.login}@users.noreply.example.com"


def _commit(page: str, found: git.Commit) -> Json:
    return {
        "id": found.sha,
        "tree_id": found.tree,
        "distinct": True,
        "message": found.message,
        "timestamp": found.committer.date,
        "url": f"{page}/commit/{found.sha}",
        "author": {"name": found.author.name, "email": found.author.email},
        "committer": {"name": found.committer.name, "email": found.committer.email},
        "added": [],
        "removed": [],
        "modified": [],
    }
