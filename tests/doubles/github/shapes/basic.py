"""JSON of users, repositories, issues, comments and the App, as GitHub writes it.

Each satisfies GitHub's webhook schema (which allows no further property) and, where the REST
description wants more, a ``_full`` form adds it.
"""

from datetime import datetime
from urllib.parse import quote

from tests.doubles.github.shapes import issue_fields
from tests.doubles.github.state import (
    Comment,
    Installation,
    Issue,
    Json,
    Label,
    Reaction,
    Repo,
    Urls,
    User,
    World,
    node_id,
    stamp,
)

EMOJI = ("+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes")


def maybe(moment: datetime | None) -> str | None:
    """A time, or null."""
    return None if moment is None else stamp(moment)


def user(urls: Urls, who: User) -> Json:
    """A user in the short form that is part of everything else."""
    login = quote(who.login)
    api = f"{urls.api}/users/{login}"
    return {
        "login": who.login,
        "id": who.id,
        "node_id": node_id("User", who.id),
        "avatar_url": f"{urls.web}/avatars/u/{who.id}",
        "gravatar_id": "",
        "url": api,
        "html_url": f"{urls.web}/{login}",
        "followers_url": f"{api}/followers",
        "following_url": f"{api}/following{{/other_user}}",
        "gists_url": f"{api}/gists{{/gist_id}}",
        "starred_url": f"{api}/starred{{/owner}}{{/repo}}",
        "subscriptions_url": f"{api}/subscriptions",
        "organizations_url": f"{api}/orgs",
        "repos_url": f"{api}/repos",
        "events_url": f"{api}/events{{/privacy}}",
        "received_events_url": f"{api}/received_events",
        "type": who.kind,
        "site_admin": False,
    }


def user_full(world: World, who: User) -> Json:
    """The answer of ``GET /users/{username}``."""
    counts = dict.fromkeys(("public_repos", "public_gists", "followers", "following"), 0)
    blanks = dict.fromkeys(("company", "blog", "location", "email", "hireable", "bio"))
    born = stamp(world.app.created_at)
    dates = {"created_at": born, "updated_at": born}
    return user(world.urls, who) | {"name": who.login} | blanks | counts | dates


_REPO_LINKS = {
    "forks_url": "forks",
    "keys_url": "keys{/key_id}",
    "collaborators_url": "collaborators{/collaborator}",
    "teams_url": "teams",
    "hooks_url": "hooks",
    "issue_events_url": "issues/events{/number}",
    "events_url": "events",
    "assignees_url": "assignees{/user}",
    "branches_url": "branches{/branch}",
    "tags_url": "tags",
    "blobs_url": "git/blobs{/sha}",
    "git_tags_url": "git/tags{/sha}",
    "git_refs_url": "git/refs{/sha}",
    "trees_url": "git/trees{/sha}",
    "statuses_url": "statuses/{sha}",
    "languages_url": "languages",
    "stargazers_url": "stargazers",
    "contributors_url": "contributors",
    "subscribers_url": "subscribers",
    "subscription_url": "subscription",
    "commits_url": "commits{/sha}",
    "git_commits_url": "git/commits{/sha}",
    "comments_url": "comments{/number}",
    "issue_comment_url": "issues/comments{/number}",
    "contents_url": "contents/{+path}",
    "compare_url": "compare/{base}...{head}",
    "merges_url": "merges",
    "archive_url": "{archive_format}{/ref}",
    "downloads_url": "downloads",
    "issues_url": "issues{/number}",
    "pulls_url": "pulls{/number}",
    "milestones_url": "milestones{/number}",
    "notifications_url": "notifications{?since,all,participating}",
    "labels_url": "labels{/name}",
    "releases_url": "releases{/id}",
    "deployments_url": "deployments",
}


def repo_url(world: World, repo: Repo) -> str:
    """The repository's URL in the REST API."""
    return f"{world.urls.api}/repos/{repo.full_name}"


def repo_page(world: World, repo: Repo) -> str:
    """The repository's URL for people."""
    return f"{world.urls.web}/{repo.full_name}"


def repository(world: World, repo: Repo) -> Json:
    """A repository as most answers carry it."""
    api, page = repo_url(world, repo), repo_page(world, repo)
    host = world.urls.web.partition("://")[2]
    open_issues = sum(issue.state == "open" for issue in repo.issues.values())
    flags = dict.fromkeys(("has_issues", "has_projects", "has_downloads", "has_wiki"), True)
    return {
        "id": repo.id,
        "node_id": node_id("Repository", repo.id),
        "name": repo.name,
        "full_name": repo.full_name,
        "private": repo.private,
        "owner": user(world.urls, repo.owner),
        "html_url": page,
        "description": repo.description,
        "fork": repo.fork,
        "url": api,
        **{name: f"{api}/{path}" for name, path in _REPO_LINKS.items()},
        "created_at": stamp(repo.created_at),
        "updated_at": stamp(repo.pushed_at),
        "pushed_at": stamp(repo.pushed_at),
        "git_url": f"git://{host}/{repo.full_name}.git",
        "ssh_url": f"ssh://git@{host}/{repo.full_name}.git",
        "clone_url": f"{page}.git",
        "svn_url": page,
        "mirror_url": None,
        "homepage": None,
        "size": 1,
        "stargazers_count": 0,
        "watchers_count": 0,
        "language": "Python",
        **flags,
        "has_pages": False,
        "forks_count": 0,
        "archived": repo.archived,
        "disabled": False,
        "open_issues_count": open_issues,
        "license": None,
        "allow_forking": True,
        "is_template": False,
        "web_commit_signoff_required": False,
        "topics": [],
        "visibility": "private" if repo.private else "public",
        "forks": 0,
        "open_issues": open_issues,
        "watchers": 0,
        "default_branch": repo.default_branch,
    }


def repository_full(world: World, repo: Repo, permissions: Json) -> Json:
    """The answer of ``GET /repos/{owner}/{repo}``."""
    only_some = repo.pull_creation == "collaborators"
    extra = {
        "custom_properties": {},
        "has_discussions": False,
        "has_pull_requests": repo.pull_creation != "none",
        "pull_request_creation_policy": "collaborators_only" if only_some else "all",
        "network_count": 0,
        "subscribers_count": 0,
    }
    return repository(world, repo) | extra | {"permissions": permissions}


def repository_brief(repo: Repo) -> Json:
    """A repository as the ``installation`` events list it."""
    return {
        "id": repo.id,
        "node_id": node_id("Repository", repo.id),
        "name": repo.name,
        "full_name": repo.full_name,
        "private": repo.private,
    }


def label(world: World, repo: Repo, tag: Label) -> Json:
    """A label."""
    return {
        "id": tag.id,
        "node_id": node_id("Label", tag.id),
        "url": f"{repo_url(world, repo)}/labels/{tag.name}",
        "name": tag.name,
        "color": tag.color,
        "default": False,
        "description": tag.description,
    }


def association(repo: Repo, who: User) -> str:
    """How the author stands to the repository."""
    if who is repo.owner:
        return "OWNER"
    known = repo.roles.get(who.login.lower())
    if known is None:
        return "NONE"
    return "MEMBER" if repo.owner.kind == "Organization" else "COLLABORATOR"


def reactions(url: str, given: list[Reaction]) -> Json:
    """The summary of reactions to something."""
    counts = {emoji: sum(r.content == emoji for r in given) for emoji in EMOJI}
    return {"url": f"{url}/reactions", "total_count": len(given), **counts}


def reaction(world: World, given: Reaction) -> Json:
    """One reaction."""
    return {
        "id": given.id,
        "node_id": node_id("Reaction", given.id),
        "user": user(world.urls, given.user),
        "content": given.content,
        "created_at": stamp(given.created_at),
    }


def via_app(world: World, who: User) -> Json | None:
    """The App, when its bot is the author."""
    return app(world) if who is world.app.bot else None


def issue(world: World, repo: Repo, item: Issue) -> Json:
    """An issue; a pull request too, seen as an issue."""
    url = f"{repo_url(world, repo)}/issues/{item.number}"
    kind = "pull" if item.pull else "issues"
    page = f"{repo_page(world, repo)}/{kind}/{item.number}"
    people = [user(world.urls, who) for who in item.assignees]
    body = {
        "url": url,
        "repository_url": repo_url(world, repo),
        "labels_url": f"{url}/labels{{/name}}",
        "comments_url": f"{url}/comments",
        "events_url": f"{url}/events",
        "html_url": page,
        "id": item.id,
        "node_id": node_id("Issue", item.id),
        "number": item.number,
        "title": item.title,
        "user": user(world.urls, item.user),
        "labels": [label(world, repo, tag) for tag in item.labels],
        "state": item.state,
        "locked": item.locked,
        "assignee": people[0] if people else None,
        "assignees": people,
        "milestone": None,
        "comments": len(item.comments),
        "created_at": stamp(item.created_at),
        "updated_at": stamp(item.updated_at),
        "closed_at": maybe(item.closed_at),
        "author_association": association(repo, item.user),
        "active_lock_reason": None,
        "body": item.body,
        "reactions": reactions(url, item.reactions),
        "timeline_url": f"{url}/timeline",
        "performed_via_github_app": via_app(world, item.user),
        "state_reason": item.state_reason,
    }
    body |= issue_fields.of_issue(world, repo, item)
    if item.pull:
        body["draft"] = item.pull.draft
        body["pull_request"] = {
            "url": f"{repo_url(world, repo)}/pulls/{item.number}",
            "html_url": page,
            "diff_url": f"{page}.diff",
            "patch_url": f"{page}.patch",
            "merged_at": maybe(item.pull.merged_at),
        }
    return body


def comment(world: World, repo: Repo, item: Issue, said: Comment) -> Json:
    """A comment in the conversation."""
    url = f"{repo_url(world, repo)}/issues/comments/{said.id}"
    kind = "pull" if item.pull else "issues"
    return {
        "url": url,
        "html_url": f"{repo_page(world, repo)}/{kind}/{item.number}#issuecomment-{said.id}",
        "issue_url": f"{repo_url(world, repo)}/issues/{item.number}",
        "id": said.id,
        "node_id": node_id("IssueComment", said.id),
        "user": user(world.urls, said.user),
        "created_at": stamp(said.created_at),
        "updated_at": stamp(said.updated_at),
        "author_association": association(repo, said.user),
        "body": said.body,
        "reactions": reactions(url, said.reactions),
        "performed_via_github_app": via_app(world, said.user),
    }


def ci_app(world: World) -> Json:
    """Another App: the continuous integration whose check runs ours can read."""
    other = world.app.id + 1_000_000
    page = f"{world.urls.web}/apps/github-actions"
    known = {"id": other, "slug": "github-actions", "name": "GitHub Actions", "html_url": page}
    return app(world) | known | {"node_id": node_id("App", other)}


def app(world: World) -> Json:
    """The GitHub App."""
    known = world.app
    return {
        "id": known.id,
        "slug": known.slug,
        "node_id": node_id("App", known.id),
        "owner": user(world.urls, known.owner),
        "name": known.name,
        "description": None,
        "external_url": world.urls.web,
        "html_url": f"{world.urls.web}/apps/{known.slug}",
        "created_at": stamp(known.created_at),
        "updated_at": stamp(known.created_at),
        "permissions": known.permissions,
        "events": list(known.events),
    }


def installation(world: World, known: Installation) -> Json:
    """The App in one account."""
    api = f"{world.urls.api}/app/installations/{known.id}"
    return {
        "id": known.id,
        "account": user(world.urls, known.account),
        "repository_selection": "all" if known.repo_ids is None else "selected",
        "access_tokens_url": f"{api}/access_tokens",
        "repositories_url": f"{world.urls.api}/installation/repositories",
        "html_url": f"{world.urls.web}/settings/installations/{known.id}",
        "app_id": world.app.id,
        "app_slug": world.app.slug,
        "target_id": known.account.id,
        "target_type": "Organization" if known.account.kind == "Organization" else "User",
        "permissions": known.permissions,
        "events": list(world.app.events),
        "created_at": stamp(known.created_at),
        "updated_at": stamp(known.created_at),
        "single_file_name": None,
        "has_multiple_single_files": False,
        "single_file_paths": [],
        "suspended_by": user(world.urls, known.account) if known.suspended_at else None,
        "suspended_at": maybe(known.suspended_at),
    }
