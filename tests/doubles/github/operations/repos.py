"""Operations on repositories: themselves, branches, commits, files, git refs, collaborators."""

import base64

from tests.doubles.github import repository as git
from tests.doubles.github.operations.operation import (
    Answer,
    Call,
    GithubError,
    Table,
    at_least,
    invalid,
    not_found,
    paged,
)
from tests.doubles.github.pushes import refs_changed
from tests.doubles.github.rules import push_rules, required_reviews
from tests.doubles.github.shapes import basic, pulls
from tests.doubles.github.state import ROLES, Json, Repo, node_id

table = Table()
_READ, _WRITE = "contents:read", "contents:write"


@table.add("repos/get", "GET /repos/{owner}/{repo}", by=("installation", "user", "anonymous"))
def get_repo(call: Call) -> Answer:
    """The repository, with the caller's rights."""
    role = "write" if call.actor.by_app else call.repo.role_of(call.user)
    rights = {"admin": "admin", "maintain": "maintain", "push": "write", "triage": "triage"}
    permissions = {name: at_least(role, needed) for name, needed in rights.items()}
    permissions["pull"] = True
    return Answer(200, basic.repository_full(call.world, call.repo, permissions))


@table.add("users/get-by-id", "GET /user/{account_id}")
def get_user_by_id(call: Call) -> Answer:
    """Somebody by the id of the account, which stays when the login changes."""
    for who in call.world.users.values():
        if who.id == call.number("account_id"):
            return Answer(200, basic.user_full(call.world, who))
    raise not_found()


@table.add(
    "repos/get-collaborator-permission-level",
    "GET /repos/{owner}/{repo}/collaborators/{username}/permission",
)
def collaborator_permission(call: Call) -> Answer:
    """The role, and the older coarse word for it (triage reads, maintain writes)."""
    who = call.world.user(call.path["username"])
    if who is None:
        raise not_found()
    role = call.repo.role_of(who)
    coarse = {"triage": "read", "maintain": "write"}.get(role, role)
    order = {"pull": "read", "triage": "triage", "push": "write"}
    order |= {"maintain": "maintain", "admin": "admin"}
    rights = {name: at_least(role, needed) for name, needed in order.items()}
    person = basic.user(call.world.urls, who) | {"permissions": rights, "role_name": role}
    return Answer(200, {"permission": coarse, "role_name": role, "user": person})


@table.add("repos/check-collaborator", "GET /repos/{owner}/{repo}/collaborators/{username}")
def check_collaborator(call: Call) -> Answer:
    """204 for a collaborator, 404 for others."""
    who = call.world.user(call.path["username"])
    if who is None or not call.repo.is_collaborator(who):
        raise not_found()
    return Answer(204)


@table.add("repos/list-collaborators", "GET /repos/{owner}/{repo}/collaborators")
def list_collaborators(call: Call) -> Answer:
    """Everybody with a role."""
    people = [call.world.user(login) for login in call.repo.roles]
    return paged(
        call,
        [
            basic.user(call.world.urls, who) | {"role_name": call.repo.role_of(who)}
            for who in people
            if who and call.repo.role_of(who) in ROLES[1:]
        ],
    )


def _branch(call: Call, name: str, sha: str) -> Json:
    url = f"{basic.repo_url(call.world, call.repo)}/branches/{name}"
    return {
        "name": name,
        "commit": {"sha": sha, "url": url.replace(f"/branches/{name}", f"/commits/{sha}")},
        "protected": name in call.repo.protected_branches,
    }


@table.add("repos/list-branches", "GET /repos/{owner}/{repo}/branches", needs=_READ)
def list_branches(call: Call) -> Answer:
    """All branches."""
    heads = git.refs(call.repo.git).items()
    named = [(n.removeprefix("refs/heads/"), s) for n, s in heads if n.startswith("refs/heads/")]
    return paged(call, [_branch(call, name, sha) for name, sha in named])


@table.add("repos/get-branch", "GET /repos/{owner}/{repo}/branches/{branch}", needs=_READ)
def get_branch(call: Call) -> Answer:
    """One branch with its commit."""
    name = call.path["branch"]
    sha = git.branch_tip(call.repo.git, name)
    if sha is None:
        raise GithubError(404, "Branch not found")
    url = f"{basic.repo_url(call.world, call.repo)}/branches/{name}"
    page = f"{basic.repo_page(call.world, call.repo)}/tree/{name}"
    protected = name in call.repo.protected_branches
    return Answer(
        200,
        {
            "name": name,
            "commit": pulls.commit(call.world, call.repo, git.commit(call.repo.git, sha)),
            "_links": {"self": url, "html": page},
            "protected": protected,
            "protection": {"enabled": protected},
            "protection_url": f"{url}/protection",
        },
    )


def resolved(call: Call, name: str) -> str:
    """The commit that a name stands for; as GitHub answers when there is none."""
    sha = git.resolve(call.repo.git, name)
    if sha is None:
        raise GithubError(422, f"No commit found for SHA: {name}")
    return sha


@table.add("repos/list-commits", "GET /repos/{owner}/{repo}/commits", needs=_READ)
def list_commits(call: Call) -> Answer:
    """The newest commits of a branch."""
    start = resolved(call, call.query.get("sha", call.repo.default_branch))
    found = [git.commit(call.repo.git, sha) for sha in git.history(call.repo.git, start, 200)]
    return paged(call, [pulls.commit(call.world, call.repo, item) for item in found])


@table.add("repos/get-commit", "GET /repos/{owner}/{repo}/commits/{ref}", needs=_READ)
def get_commit(call: Call) -> Answer:
    """One commit with the files that it changes."""
    repo, sha = call.repo, resolved(call, call.path["ref"])
    found = git.commit(repo.git, sha)
    base = found.parents[0] if found.parents else None
    files = git.changes(repo.git, base, sha) if base else []
    entries = [pulls.file_entry(call.world, repo, sha, change) for change in files]
    sums = [sum(f.additions for f in files), sum(f.deletions for f in files)]
    stats = {"additions": sums[0], "deletions": sums[1], "total": sum(sums)}
    body = pulls.commit(call.world, repo, found) | {"files": entries, "stats": stats}
    return Answer(200, body)


@table.add("repos/compare-commits", "GET /repos/{owner}/{repo}/compare/{basehead}", needs=_READ)
def compare(call: Call) -> Answer:
    """The comparison ``BASE...HEAD``."""
    left, dots, right = call.path["basehead"].partition("...")
    if not dots:
        raise not_found()
    repo, world = call.repo, call.world
    base, head = git.resolve(repo.git, left), git.resolve(repo.git, right)
    if base is None or head is None:
        raise not_found()
    if "diff" in call.accept:
        return Answer(200, git.diff(repo.git, base, head), media="text/plain; charset=utf-8")
    middle = git.merge_base(repo.git, base, head)
    if middle is None:
        raise GithubError(404, f"No common ancestor between {left} and {right}.")
    ahead = git.commits_between(repo.git, base, head)
    behind = git.commits_between(repo.git, head, base)
    names = {(True, True): "diverged", (True, False): "ahead", (False, True): "behind"}
    url = f"{basic.repo_url(world, repo)}/compare/{left}...{right}"
    page = f"{basic.repo_page(world, repo)}/compare/{left}...{right}"

    def shown(sha: str) -> Json:
        return pulls.commit(world, repo, git.commit(repo.git, sha))

    changed = git.changes(repo.git, base, head)
    return Answer(
        200,
        {
            "url": url,
            "html_url": page,
            "permalink_url": page,
            "diff_url": f"{page}.diff",
            "patch_url": f"{page}.patch",
            "base_commit": shown(base),
            "merge_base_commit": shown(middle),
            "status": names.get((bool(ahead), bool(behind)), "identical"),
            "ahead_by": len(ahead),
            "behind_by": len(behind),
            "total_commits": len(ahead),
            "commits": [shown(sha) for sha in ahead],
            "files": [pulls.file_entry(world, repo, head, item) for item in changed],
        },
    )


@table.add("repos/get-content", "GET /repos/{owner}/{repo}/contents/{path}", needs=_READ)
def get_content(call: Call) -> Answer:
    """A file, or the entries of a folder."""
    ref = call.query.get("ref", call.repo.default_branch)
    sha = git.resolve(call.repo.git, ref)
    if sha is None:
        raise GithubError(404, f"No commit found for the ref {ref}")
    path = call.path["path"].strip("/")
    try:
        kind = git.run(call.repo.git, "cat-file", "-t", f"{sha}:{path}")
    except git.GitRefused as error:
        raise not_found() from error
    if kind == "tree":
        return Answer(200, _folder(call, sha, ref, path))
    blob = git.run(call.repo.git, "rev-parse", f"{sha}:{path}")
    data = git.raw(call.repo.git, "cat-file", "blob", blob)
    if "raw" in call.accept:
        return Answer(200, data.decode(errors="replace"), media="text/plain; charset=utf-8")
    content = base64.encodebytes(data).decode()
    entry = _entry(call, ref, path, "file", blob, len(data))
    return Answer(200, entry | {"encoding": "base64", "content": content})


def _folder(call: Call, sha: str, ref: str, path: str) -> list[Json]:
    rows = git.run(call.repo.git, "ls-tree", "-l", "-z", f"{sha}:{path}").split("\0")
    entries = []
    for row in filter(None, rows):
        meta, _, name = row.partition("\t")
        _, kind, blob, size = meta.split()
        full = f"{path}/{name}" if path else name
        word = {"blob": "file", "tree": "dir"}.get(kind, "submodule")
        entries.append(_entry(call, ref, full, word, blob, 0 if size == "-" else int(size)))
    return entries


def _entry(call: Call, ref: str, path: str, kind: str, sha: str, size: int) -> Json:
    api, page = basic.repo_url(call.world, call.repo), basic.repo_page(call.world, call.repo)
    url = f"{api}/contents/{path}?ref={ref}"
    html = f"{page}/{'tree' if kind == 'dir' else 'blob'}/{ref}/{path}"
    git_url = f"{api}/git/{'trees' if kind == 'dir' else 'blobs'}/{sha}"
    return {
        "type": kind,
        "name": path.rpartition("/")[2],
        "path": path,
        "sha": sha,
        "size": size,
        "url": url,
        "html_url": html,
        "git_url": git_url,
        "download_url": f"{page}/raw/{ref}/{path}" if kind == "file" else None,
        "_links": {"self": url, "git": git_url, "html": html},
    }


def _ref(call: Call, repo: Repo, name: str, sha: str) -> Json:
    api = f"{basic.repo_url(call.world, repo)}/git"
    return {
        "ref": name,
        "node_id": node_id("Ref", repo.id),
        "url": f"{api}/{name}",
        "object": {"sha": sha, "type": "commit", "url": f"{api}/commits/{sha}"},
    }


@table.add("git/get-ref", "GET /repos/{owner}/{repo}/git/ref/{ref}", needs=_READ)
def get_ref(call: Call) -> Answer:
    """One ref by its name without ``refs/``."""
    name = f"refs/{call.path['ref']}"
    sha = git.refs(call.repo.git).get(name)
    if sha is None:
        raise not_found()
    return Answer(200, _ref(call, call.repo, name, sha))


@table.add(
    "git/list-matching-refs", "GET /repos/{owner}/{repo}/git/matching-refs/{ref}", needs=_READ
)
def matching_refs(call: Call) -> Answer:
    """Refs that begin so."""
    start = f"refs/{call.path['ref']}"
    known = git.refs(call.repo.git).items()
    return Answer(200, [_ref(call, call.repo, n, s) for n, s in known if n.startswith(start)])


@table.add("git/create-ref", "POST /repos/{owner}/{repo}/git/refs", needs=_WRITE, role="write")
def create_ref(call: Call) -> Answer:
    """A new ref at a commit that exists."""
    name, sha = call.body["ref"], call.body["sha"]
    if not name.startswith("refs/") or name.count("/") < 2:
        raise GithubError(422, "Reference name must start with 'refs/' and have two slashes")
    if not git.is_ref_name(name):
        raise GithubError(422, "Reference name is invalid")
    if name in git.refs(call.repo.git):
        raise GithubError(422, "Reference already exists")
    if git.resolve(call.repo.git, sha) != sha:
        raise GithubError(422, "Object does not exist")
    _obey_rules(call, name, git.ZERO, sha)
    _move(call, name, git.ZERO, sha)
    return Answer(201, _ref(call, call.repo, name, sha))


@table.add(
    "git/update-ref", "PATCH /repos/{owner}/{repo}/git/refs/{ref}", needs=_WRITE, role="write"
)
def update_ref(call: Call) -> Answer:
    """Move a ref; only forward unless ``force``."""
    name, sha = f"refs/{call.path['ref']}", call.body["sha"]
    old = git.refs(call.repo.git).get(name)
    if old is None:
        raise GithubError(422, "Reference does not exist")
    if git.resolve(call.repo.git, sha) != sha:
        raise GithubError(422, "Object does not exist")
    if not call.body.get("force") and not git.is_ancestor(call.repo.git, old, sha):
        raise GithubError(422, "Update is not a fast forward")
    _obey_rules(call, name, old, sha)
    _move(call, name, old, sha)
    return Answer(200, _ref(call, call.repo, name, sha))


@table.add(
    "git/delete-ref", "DELETE /repos/{owner}/{repo}/git/refs/{ref}", needs=_WRITE, role="write"
)
def delete_ref(call: Call) -> Answer:
    """Remove a ref."""
    name = f"refs/{call.path['ref']}"
    old = git.refs(call.repo.git).get(name)
    if old is None:
        raise GithubError(422, "Reference does not exist")
    _move(call, name, old, git.ZERO)
    return Answer(204)


def _obey_rules(call: Call, name: str, old: str, new: str) -> None:
    if name.startswith("refs/heads/"):
        said = push_rules.against(call.repo.git, old, new, name)
        if said:
            raise GithubError(422, f"Repository rule violations found\n\n{said}")


_RULES = {
    "signatures": "required_signatures",
    "linear_history": "required_linear_history",
    "creation": "creation",
    "pull_request": "pull_request",
}
"""GitHub's names of rules."""


@table.add("repos/get-branch-rules", "GET /repos/{owner}/{repo}/rules/branches/{branch}")
def branch_rules(call: Call) -> Answer:
    """The rules of rulesets that hold for a branch, which need not exist."""
    rules = []
    for rule in push_rules.rules_for(call.repo.git, call.path["branch"]):
        if rule["kind"] in _RULES:
            told: Json = {
                "type": _RULES[rule["kind"]],
                "ruleset_source_type": "Repository",
                "ruleset_source": call.repo.full_name,
                "ruleset_id": 1,
            }
            if rule["kind"] == "pull_request":
                told["parameters"] = required_reviews.parameters(rule)
            rules.append(told)
    return paged(call, rules)


def _move(call: Call, name: str, old: str, new: str) -> None:
    if name.removeprefix("refs/heads/") in call.repo.protected_branches:
        raise invalid("Reference", "ref", "custom", "Protected branch update failed")
    if new == git.ZERO:
        git.delete_ref(call.repo.git, name)
    else:
        git.set_ref(call.repo.git, name, new)
    refs_changed(call.world, call.hooks, call.repo, call.user, {name: (old, new)})


@table.add("git/get-commit", "GET /repos/{owner}/{repo}/git/commits/{commit_sha}", needs=_READ)
def get_git_commit(call: Call) -> Answer:
    """A commit of the git database."""
    sha = git.resolve(call.repo.git, call.path["commit_sha"])
    if sha is None:
        raise not_found()
    found = git.commit(call.repo.git, sha)
    return Answer(200, pulls.git_commit(call.world, call.repo, found))
