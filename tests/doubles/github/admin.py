"""What tests and the demo do to the stand-in from outside: ``POST /_admin/{action}`` with JSON."""

import base64
import secrets
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.doubles.github import moves
from tests.doubles.github import repository as git
from tests.doubles.github.faults import Fault
from tests.doubles.github.hooks import Deliverer
from tests.doubles.github.operations.checks import suite_for
from tests.doubles.github.pushes import noreply
from tests.doubles.github.rules import push_rules
from tests.doubles.github.shapes import actions, basic, checks
from tests.doubles.github.state import (
    ROLES,
    Asset,
    CheckRun,
    Installation,
    IssueField,
    Json,
    Repo,
    WorkflowRun,
    World,
    stamp,
)

Action = Callable[["Admin", Json], Any]


class Admin:
    """The actions; each raises ValueError or KeyError for a request that makes no sense."""

    def __init__(self, world: World, hooks: Deliverer, violations: list[str]) -> None:
        self.world = world
        self.hooks = hooks
        self.violations = violations

    def run(self, action: str, body: Json) -> Any:
        """Do it; the result is JSON, or an awaitable of it."""
        if action not in ACTIONS:
            raise ValueError(f"no such action: {action}; there are {', '.join(sorted(ACTIONS))}")
        return ACTIONS[action](self, body)

    def repo(self, body: Json) -> Repo:
        """The repository that a request names."""
        repo = self.world.repo(body["repo"])
        if repo is None:
            raise ValueError(f"no such repository: {body['repo']}")
        return repo

    def installation(self, body: Json) -> Installation:
        """The installation in the account that a request names."""
        for known in self.world.installations.values():
            if known.account.login.lower() == str(body["account"]).lower():
                return known
        raise ValueError(f"the App is not installed in {body['account']}")


def _app(admin: Admin, _: Json) -> Json:
    app = admin.world.app
    return {
        "id": app.id,
        "slug": app.slug,
        "bot": app.bot.login,
        "private_key_pem": app.private_key_pem,
        "webhook_secret": app.webhook_secret,
        "webhook_url": app.webhook_url,
        "api_url": admin.world.urls.api,
        "web_url": admin.world.urls.web,
    }


def _webhook(admin: Admin, body: Json) -> Json:
    admin.world.app.webhook_url = body["url"]
    return {}


def _user(admin: Admin, body: Json) -> Json:
    who = admin.world.add_user(body["login"], body.get("kind", "User"))
    return {"login": who.login, "id": who.id, "token": who.token}


def _create_repo(admin: Admin, body: Json) -> Json:
    world = admin.world
    owner_name, _, name = body["repo"].partition("/")
    if not name or world.repo(body["repo"]) is not None:
        raise ValueError(f"not a new owner/name: {body['repo']}")
    owner = world.add_user(owner_name, body.get("owner_kind", "Organization"))
    branch = body.get("default_branch", "main")
    path = world.root / owner.login / f"{name}-{world.next_id()}.git"
    git.create_bare(path, branch)
    now = world.now()
    private = bool(body.get("private", False))
    repo = Repo(world.next_id(), owner, name, private, branch, path, now, now)
    repo.description = body.get("description")
    if body.get("folder"):
        folder = Path(body["folder"])
        git.import_folder(path, folder, branch, body.get("message", "Import"), now)
    if body.get("git"):
        git.import_repository(path, Path(body["git"]))
    world.repos[repo.full_name.lower()] = repo
    if body.get("install", True) and not any(
        known.account is owner for known in world.installations.values()
    ):
        _install(admin, {"account": owner.login})
    return {"id": repo.id, "full_name": repo.full_name, "head": git.branch_tip(path, branch)}


def _upload(admin: Admin, body: Json) -> Json:
    """Somebody drops a file into the text of an issue; GitHub gives its address."""
    repo, guid = admin.repo(body), str(uuid.uuid4())
    admin.world.assets[guid] = Asset(
        id=admin.world.next_id(),
        guid=guid,
        repo_id=repo.id,
        owner_id=repo.owner.id,
        suffix=body.get("suffix", "png"),
        content_type=body.get("content_type", "image/png"),
        data=base64.b64decode(body["data"]),
    )
    return {"url": f"{admin.world.urls.web}/user-attachments/assets/{guid}"}


def _change_repo(admin: Admin, body: Json) -> Json:
    repo = admin.repo(body)
    repo.archived = body.get("archived", repo.archived)
    repo.fork = body.get("fork", repo.fork)
    repo.private = body.get("private", repo.private)
    repo.protected_branches = set(body.get("protected_branches", repo.protected_branches))
    repo.closes_pulls = body.get("closes_pulls", repo.closes_pulls)
    repo.drafts = body.get("drafts", repo.drafts)
    repo.reruns = body.get("reruns", repo.reruns)
    repo.pull_creation = body.get("pull_creation", repo.pull_creation)
    if "signer" in body:
        git.register_signer(repo.git, body["signer"]["email"], body["signer"]["key"])
    if "rules" in body:
        push_rules.install(repo.git, body["rules"])
    return {}


def _issue_field(admin: Admin, body: Json) -> Json:
    """An organisation gives its issues a field."""
    world, owner = admin.world, admin.world.user(body["organization"])
    if owner is None or owner.kind != "Organization":
        raise ValueError(f"no such organisation: {body['organization']}")
    options = {name: world.next_id() for name in body.get("options", ())}
    made = IssueField(world.next_id(), body["name"], body["data_type"], options)
    world.issue_fields[owner.id].append(made)
    return {"id": made.id}


def _issue_type(admin: Admin, body: Json) -> Json:
    """Somebody says what kind of issue it is."""
    world, repo = admin.world, admin.repo(body)
    item, who = repo.issues[body["number"]], world.add_user(body["login"])
    item.type = body["type"]
    issue = basic.issue(world, repo, item)
    told: Json = {"action": "typed", "issue": issue, "type": issue["type"]}
    admin.hooks.emit("issues", repo, who, told)
    return {}


def _fork_repo(admin: Admin, body: Json) -> Json:
    """Somebody forks a repository into their account, where the App is not installed."""
    world, source = admin.world, admin.repo(body)
    owner = world.add_user(body["owner"])
    path = world.root / owner.login / f"{source.name}-{world.next_id()}.git"
    git.create_bare(path, source.default_branch)
    git.import_repository(path, source.git)
    now = world.now()
    fork = Repo(
        world.next_id(), owner, source.name, source.private, source.default_branch, path, now, now
    )
    fork.fork, fork.parent_id = True, source.id
    world.repos[fork.full_name.lower()] = fork
    return {"id": fork.id, "full_name": fork.full_name}


def _merge_group(admin: Admin, body: Json) -> Json:
    """The merge queue makes a group of one pull request, and asks for checks of it.

    The branch's name and the event: "Managing a merge queue" and "merge_group" at docs.github.com.
    """
    world, repo = admin.world, admin.repo(body)
    item = repo.issues[body["number"]]
    if item.pull is None or item.state != "open":
        raise ValueError(f"no open pull request: {body['number']}")
    base = git.branch_tip(repo.git, item.pull.base_ref) or item.pull.base_sha
    tree = git.merge_tree(repo.git, base, item.pull.head_sha)
    if tree is None:
        raise ValueError("it conflicts with its base")
    queue = world.add_user("github-merge-queue[bot]", "Bot")
    said = f"Merge pull request #{item.number}: {item.title}"
    who = (queue.login, noreply(queue))
    sha = git.commit_tree(repo.git, tree, [base, item.pull.head_sha], said, who, world.now())
    ref = f"refs/heads/gh-readonly-queue/{item.pull.base_ref}/pr-{item.number}-{base}"
    git.set_ref(repo.git, ref, sha)
    group = checks.merge_group(repo, ref, sha, f"refs/heads/{item.pull.base_ref}", base)
    sent = {"action": "checks_requested", "merge_group": group}
    admin.hooks.emit("merge_group", repo, queue, sent)
    return group


def _end_merge_group(admin: Admin, body: Json) -> Json:
    """The merge queue lets a group go: its branch is deleted."""
    repo, group = admin.repo(body), body["group"]
    git.delete_ref(repo.git, group["head_ref"])
    queue = admin.world.add_user("github-merge-queue[bot]", "Bot")
    sent = {"action": "destroyed", "reason": body["reason"], "merge_group": group}
    admin.hooks.emit("merge_group", repo, queue, sent)
    return {}


def _rename_repo(admin: Admin, body: Json) -> Json:
    repo = admin.repo(body)
    moves.move(admin.world, repo, repo.owner, body["name"])
    return {"full_name": repo.full_name}


def _transfer_repo(admin: Admin, body: Json) -> Json:
    repo = admin.repo(body)
    owner = admin.world.add_user(body["owner"], "Organization")
    moves.move(admin.world, repo, owner, repo.name)
    return {"full_name": repo.full_name}


def _rename_user(admin: Admin, body: Json) -> Json:
    who = admin.world.user(body["login"])
    if who is None:
        raise ValueError(f"no such account: {body['login']}")
    moves.rename_owner(admin.world, who, body["new"])
    return {}


def _delete_user(admin: Admin, body: Json) -> Json:
    moves.delete_user(admin.world, body["login"])
    return {}


def _delete_repo(admin: Admin, body: Json) -> Json:
    moves.delete_repo(admin.world, admin.repo(body))
    return {}


def _rename_branch(admin: Admin, body: Json) -> Json:
    moves.rename_branch(admin.repo(body), body["branch"], body["new"])
    return {}


def _transfer_issue(admin: Admin, body: Json) -> Json:
    repo = admin.repo(body)
    to = admin.repo({"repo": body["to"]})
    return {"number": moves.transfer_issue(repo, repo.issues[body["number"]], to)}


def _delete_issue(admin: Admin, body: Json) -> Json:
    repo = admin.repo(body)
    moves.delete_issue(repo, repo.issues[body["number"]])
    return {}


def _role(admin: Admin, body: Json) -> Json:
    if body["role"] not in ROLES:
        raise ValueError(f"role is one of {', '.join(ROLES)}, not {body['role']!r}")
    who = admin.world.add_user(body["login"])
    admin.repo(body).roles[who.login.lower()] = body["role"]
    return {"login": who.login, "token": who.token}


def _repo_ids(admin: Admin, names: list[str] | None) -> set[int] | None:
    return None if names is None else {admin.repo({"repo": name}).id for name in names}


def _install(admin: Admin, body: Json) -> Json:
    world = admin.world
    account = world.add_user(body["account"], "Organization")
    known = Installation(
        id=world.next_id(),
        account=account,
        permissions=dict(body.get("permissions") or world.app.permissions),
        created_at=world.now(),
        repo_ids=_repo_ids(admin, body.get("repositories")),
    )
    world.installations[known.id] = known
    _installation_event(admin, known, "created")
    return {"id": known.id}


def _installation_event(admin: Admin, known: Installation, action: str) -> None:
    covered = [repo for repo in admin.world.repos.values() if known.covers(repo)]
    payload: Json = {
        "action": action,
        "installation": basic.installation(admin.world, known),
        "repositories": [basic.repository_brief(repo) for repo in covered],
    }
    admin.hooks.emit("installation", None, known.account, payload)


def _repositories_events(admin: Admin, known: Installation, before: set[int]) -> None:
    now = {repo.id for repo in admin.world.repos.values() if known.covers(repo)}
    for action, changed in (("added", now - before), ("removed", before - now)):
        repos = [r for r in admin.world.repos.values() if r.id in changed]
        listed = [basic.repository_brief(repo) for repo in repos]
        payload = {
            "action": action,
            "installation": basic.installation(admin.world, known),
            "repository_selection": "all" if known.repo_ids is None else "selected",
            "repositories_added": listed if action == "added" else [],
            "repositories_removed": listed if action == "removed" else [],
            "requester": None,
        }
        if listed:
            admin.hooks.emit("installation_repositories", None, known.account, payload)


def _change_installation(admin: Admin, body: Json) -> Json:
    known = admin.installation(body)
    known.permissions = dict(body.get("permissions", known.permissions))
    if "repositories" in body:
        before = {repo.id for repo in admin.world.repos.values() if known.covers(repo)}
        known.repo_ids = _repo_ids(admin, body["repositories"])
        _repositories_events(admin, known, before)
    if "suspended" in body:
        known.suspended_at = admin.world.now() if body["suspended"] else None
        _installation_event(admin, known, "suspend" if body["suspended"] else "unsuspend")
    return {}


def _uninstall(admin: Admin, body: Json) -> Json:
    known = admin.installation(body)
    _installation_event(admin, known, "deleted")
    del admin.world.installations[known.id]
    return {}


def _ci(admin: Admin, body: Json) -> Json:
    """The continuous integration tells of a job that ended, with its log."""
    world, repo = admin.world, admin.repo(body)
    sha = git.resolve(repo.git, body["ref"])
    if sha is None:
        raise ValueError(f"no such branch or commit: {body['ref']}")
    suite_of_ci, name = suite_for(world, repo, sha, by_app=False), body.get("name", "tests")
    sender = world.add_user("github-actions[bot]", "Bot")
    workflow = next((w for w in repo.workflow_runs.values() if w.head_sha == sha), None)
    if workflow is None:
        number = len(repo.workflow_runs) + 1
        workflow = WorkflowRun(world.next_id(), suite_of_ci, sha, number, world.now(), sender)
        repo.workflow_runs[workflow.id] = workflow
    # A job that is to run again is there already.
    waiting = (r for r in repo.check_runs.values() if r.name == name and r.workflow is workflow)
    run = next((r for r in waiting if r.status == "queued"), None) or CheckRun(
        id=world.next_id(),
        suite=suite_of_ci,
        name=name,
        head_sha=sha,
        status="queued",
        conclusion=None,
        started_at=world.now(),
        completed_at=None,
        external_id="",
        details_url=None,
        output={},
        by_app=False,
        workflow=workflow,
        attempt=workflow.attempt,
    )
    run.status, run.conclusion = "completed", body["conclusion"]
    run.started_at = run.started_at or world.now()
    run.completed_at, run.log = world.now(), body.get("log", "")
    run.output = {
        "title": body["conclusion"],
        "summary": body.get("summary", ""),
        "annotations": [
            {
                "path": ".github",
                "start_line": 1,
                "end_line": 1,
                "annotation_level": "failure",
                "message": text,
            }
            for text in body.get("annotations", [])
        ],
    }
    repo.check_runs[run.id] = run
    suite = checks.check_suite(world, repo, run.suite)
    suite["head_branch"] = body.get("head_branch", suite["head_branch"])
    shown = checks.check_run(world, repo, run) | {"check_suite": suite}
    jobs = {r.name: r.conclusion for r in repo.check_runs.values() if r.workflow is workflow}
    ended = not body.get("others_run") and None not in jobs.values()
    if ended:
        bad = [end for end in jobs.values() if end not in ("success", "neutral", "skipped")]
        workflow.status, workflow.conclusion = "completed", "failure" if bad else "success"
    admin.hooks.emit("check_run", repo, sender, {"action": "completed", "check_run": shown})
    if ended:
        told = {
            "action": "completed",
            "workflow": actions.workflow(world, repo),
            "workflow_run": actions.told_run(world, repo, workflow),
        }
        admin.hooks.emit("workflow_run", repo, sender, told)
    return {"id": run.id}


def _clock(admin: Admin, body: Json) -> Json:
    admin.world.clock_offset += timedelta(seconds=float(body.get("advance_s", 0)))
    return {"now": stamp(admin.world.now())}


def _content_limit(admin: Admin, body: Json) -> Json:
    admin.world.content_per_minute = int(body["per_minute"])
    return {}


def _hide_user(admin: Admin, body: Json) -> Json:
    """GitHub holds an account for spam."""
    admin.world.add_user(body["login"]).hidden = True
    return {}


def _stale(admin: Admin, body: Json) -> Json:
    admin.world.stale_s = float(body["seconds"])
    return {}


def _fault(admin: Admin, body: Json) -> Json:
    try:
        admin.world.faults.add(Fault(**body))
    except TypeError as error:
        raise ValueError(str(error)) from error
    return {}


def _clear_faults(admin: Admin, _: Json) -> Json:
    admin.world.faults.pending.clear()
    return {"struck": admin.world.faults.struck}


def _rate_limit(admin: Admin, body: Json) -> Json:
    now = admin.world.now()
    for installation in admin.world.installations:
        limit = admin.world.limits[installation]
        limit.set_remaining(int(body["remaining"]), int(body.get("reset_in_s", 60)), now)
    return {}


def _acts(admin: Admin, body: Json) -> list[Json]:
    app_only = body.get("app_only", True)
    return [asdict(act) for act in admin.world.acts if act.by_app or not app_only]


def _deliveries(admin: Admin, _: Json) -> list[Json]:
    return [
        asdict(delivery) | {"delivered_at": stamp(delivery.delivered_at)}
        for delivery in admin.world.deliveries
    ]


def _delivery_count(admin: Admin, _: Json) -> int:
    return len(admin.world.deliveries)


def _redeliver(admin: Admin, body: Json) -> list[int]:
    for delivery in admin.world.deliveries:
        if delivery.id == body["id"]:
            copies = admin.hooks.redeliver(delivery, int(body.get("times", 1)))
            return [copy.id for copy in copies]
    raise ValueError(f"no such delivery: {body['id']}")


def _send(admin: Admin, body: Json) -> Json:
    return {"id": admin.hooks.send(body["event"], body["payload"]).id}


async def _until_idle(admin: Admin) -> Json:
    await admin.hooks.idle()
    return {}


def _idle(admin: Admin, _: Json) -> Awaitable[Json]:
    return _until_idle(admin)


def _manifest(admin: Admin, body: Json) -> Json:
    code = secrets.token_hex(10)
    admin.world.manifests[code] = body["manifest"]
    return {"code": code}


def _violations(admin: Admin, _: Json) -> list[str]:
    return admin.violations


ACTIONS: dict[str, Action] = {
    "app": _app,
    "webhook": _webhook,
    "user": _user,
    "create-repo": _create_repo,
    "change-repo": _change_repo,
    "issue-field": _issue_field,
    "issue-type": _issue_type,
    "fork-repo": _fork_repo,
    "upload": _upload,
    "merge-group": _merge_group,
    "end-merge-group": _end_merge_group,
    "rename-repo": _rename_repo,
    "transfer-repo": _transfer_repo,
    "delete-repo": _delete_repo,
    "rename-branch": _rename_branch,
    "rename-user": _rename_user,
    "delete-user": _delete_user,
    "transfer-issue": _transfer_issue,
    "delete-issue": _delete_issue,
    "role": _role,
    "install": _install,
    "change-installation": _change_installation,
    "uninstall": _uninstall,
    "ci": _ci,
    "clock": _clock,
    "stale": _stale,
    "content-limit": _content_limit,
    "hide-user": _hide_user,
    "fault": _fault,
    "clear-faults": _clear_faults,
    "rate-limit": _rate_limit,
    "acts": _acts,
    "deliveries": _deliveries,
    "delivery_count": _delivery_count,
    "redeliver": _redeliver,
    "send": _send,
    "idle": _idle,
    "manifest": _manifest,
    "violations": _violations,
}
