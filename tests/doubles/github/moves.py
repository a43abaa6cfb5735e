"""What happens to repositories and issues: renamed, transferred, deleted; what old places answer.

Facts: "Renaming a repository" (the old addresses of pages, git and the API lead to the new one,
until another repository gets the name), "Follow redirects" in the best practices for the REST API,
and "Get an issue" (301 for a transferred one, 410 for a deleted one), all at docs.github.com. The
API leads from an old name to ``/repositories/{id}``, with 301 for a GET and 307 for a write (seen
in VirtusLab/git-machete#597 and #1211).
"""

from tests.doubles.github import repository as git
from tests.doubles.github.auth import can_see
from tests.doubles.github.operations.operation import Actor, Answer, GithubError, not_found
from tests.doubles.github.state import Issue, Repo, User, World

_GONE = "This issue was deleted"


def move(world: World, repo: Repo, owner: User, name: str) -> None:
    """Give a repository another owner or name; its old name leads here from now on."""
    old, new = repo.full_name.lower(), f"{owner.login}/{name}"
    if world.repo(new) not in (None, repo):
        raise ValueError(f"{new} is taken")
    repo.owner, repo.name = owner, name
    del world.repos[old]
    world.moved[old] = repo.id
    world.moved.pop(repo.full_name.lower(), None)
    world.repos[repo.full_name.lower()] = repo


def rename_owner(world: World, owner: User, login: str) -> None:
    """Give an account another login; all its repositories move with it."""
    owned = [repo for repo in world.repos.values() if repo.owner is owner]
    old = {repo.full_name.lower(): repo for repo in owned}
    world.users[login.lower()] = world.users.pop(owner.login.lower())
    for repo in world.repos.values():
        if (role := repo.roles.pop(owner.login.lower(), None)) is not None:
            repo.roles[login.lower()] = role
    owner.login = login
    for name, repo in old.items():
        del world.repos[name]
        world.moved[name] = repo.id
        world.repos[repo.full_name.lower()] = repo


def delete_user(world: World, login: str) -> None:
    """Delete a person's account; what they wrote is `ghost`'s from now on."""
    gone = world.users.pop(login.lower())
    ghost = world.add_user("ghost")
    for repo in world.repos.values():
        repo.roles.pop(login.lower(), None)
        for item in repo.issues.values():
            said = [item, *item.comments]
            if item.pull is not None:
                said += [*item.pull.reviews, *item.pull.review_comments]
            for each in said:
                if each.user is gone:
                    each.user = ghost


def rename_branch(repo: Repo, old: str, new: str) -> None:
    """Rename a branch; open pull requests against it are retargeted ("Renaming a branch")."""
    tip = git.branch_tip(repo.git, old)
    if tip is None:
        raise ValueError(f"no such branch: {old}")
    git.set_ref(repo.git, f"refs/heads/{new}", tip)
    if repo.default_branch == old:
        git.run(repo.git, "symbolic-ref", "HEAD", f"refs/heads/{new}")
        repo.default_branch = new
    git.delete_ref(repo.git, f"refs/heads/{old}")
    for item in repo.issues.values():
        if item.pull is not None and item.state == "open" and item.pull.base_ref == old:
            item.pull.base_ref = new


def delete_repo(world: World, repo: Repo) -> None:
    """Delete a repository; its name is free, and nothing leads from it."""
    del world.repos[repo.full_name.lower()]
    for installation in world.installations.values():
        if installation.repo_ids is not None:
            installation.repo_ids.discard(repo.id)


def transfer_issue(repo: Repo, item: Issue, to: Repo) -> int:
    """Move an issue to another repository, where it gets another number."""
    del repo.issues[item.number]
    old, item.number = item.number, max(to.issues, default=0) + 1
    to.issues[item.number] = item
    repo.left[old] = (to, item)
    return item.number


def delete_issue(repo: Repo, item: Issue) -> None:
    """Delete an issue, or turn it into a discussion: for the API it is gone either way."""
    del repo.issues[item.number]
    repo.left[item.number] = None


def placed(world: World, actor: Actor, method: str, path: str, query: str) -> str | Answer:
    """The path by the repository's present name, or the answer that leads to its place."""
    parts = path.split("/")
    if len(parts) > 2 and parts[1] == "repositories" and parts[2].isdigit():
        repo = world.repo_of_id(int(parts[2]))
        if repo is None:
            return not_found().answer()
        parts = ["", "repos", repo.owner.login, repo.name, *parts[3:]]
    elif len(parts) > 3 and parts[1] == "repos":
        repo = world.moved_repo(f"{parts[2]}/{parts[3]}")
        if repo is not None:
            if actor.kind != "app" and not can_see(actor, repo):
                return not_found().answer()
            return _redirect(world, method, repo, parts[4:], query)
        repo = world.repo("/".join(parts[2:4]))
    else:
        return path
    left = repo.left if repo is not None else {}
    if len(parts) > 5 and parts[4] == "issues" and parts[5].isdigit() and int(parts[5]) in left:
        gone = left[int(parts[5])]
        if gone is None:
            return GithubError(410, _GONE).answer()
        to, item = gone
        if parts[6:] not in ([], ["labels"]):
            return not_found().answer()  # the description names a 301 only for these
        if not can_see(actor, to):
            return not_found().answer()
        return _redirect(world, "GET", to, ["issues", str(item.number), *parts[6:]], query)
    return "/".join(parts)


def _redirect(world: World, method: str, repo: Repo, rest: list[str], query: str) -> Answer:
    where = "/".join([f"{world.urls.api}/repositories/{repo.id}", *rest])
    where += f"?{query}" if query else ""
    status, said = (301, "Moved Permanently") if method == "GET" else (307, "Temporary Redirect")
    body = {"message": said, "url": where, "documentation_url": "https://docs.github.com/rest"}
    return Answer(status, body, {"Location": where})
