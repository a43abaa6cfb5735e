"""GitHub as a forge: PyGithub with App authentication, its blocking calls in threads."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast
from urllib.parse import quote

import requests
from github import BadAttributeException, Github, GithubException
from github.IssueComment import IssueComment
from github.Repository import Repository as ApiRepository

from app.github.answers import ODD, OddAnswer, check_answer, content_kind
from app.github.app import (
    GithubApp,
    NoAccess,
    git_token,
    installation_client,
    integration,
    repository_path,
)
from app.github.calls import accounts, actions, backlog, checks, closing, commits, pulls
from app.github.convert import as_comment, as_pull, as_thread, forge_error
from app.github.errors import (
    ForgeAway,
    ForgeError,
    ForgeMissing,
    ForgeRefused,
    InstallationGone,
    IssueGone,
    RateLimited,
)
from app.github.forge import Reaction
from app.github.records import (
    BranchCommit,
    BranchRules,
    CheckReport,
    CheckRun,
    CiJob,
    Comment,
    FailedCheck,
    GitToken,
    IssueThread,
    ListedIssue,
    Permission,
    Pull,
    Repository,
    ReviewComment,
)
from app.github.written_comments import CommentPlace, WrittenComments

T = TypeVar("T")

TOKEN_MARGIN = timedelta(minutes=10)
"""A git token that expires sooner than this is replaced before it is used."""


CALL_TIMEOUTS = 6
"""A call with all its requests may take so many times as long as one may keep silent."""
PERMISSIONS = ("none", "read", "write", "admin")


def _settle(answer: asyncio.Future[T], found: T | None, error: BaseException | None) -> None:
    if answer.done():
        return
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(cast(T, found))


class GithubForge:
    """`Forge` on GitHub.com or GitHub Enterprise Server. One per run: calls go one at a time."""

    def __init__(
        self,
        app: GithubApp,
        installation_id: int,
        repository: str,
        repository_id: int = 0,
        *,
        written: WrittenComments | None = None,
    ) -> None:
        """`repository` is the name as last known; without an id (0) the name's owner is meant.

        Without an installation (0) GitHub is asked for it at the first call.

        `written` remembers the comments of a repository with an id; None: only this forge does.
        """
        self._app = app
        self._installation = installation_id
        self._name = repository
        self._id = repository_id
        self._lock = threading.Lock()
        self._integration = integration(app)
        self._client = self._new_client()
        self._takes_pulls = True
        self._login = ""
        self._token: GitToken | None = None
        self._comments: dict[tuple[int, str], Comment] = {}
        self._written = written

    @property
    def name(self) -> str:
        """`owner/name` of the repository, as last known."""
        return self._name

    @property
    def _at(self) -> str:
        return repository_path(self._name, self._id)

    def _new_client(self) -> Github:
        return installation_client(self._integration, self._installation, self._id)

    async def bot_login(self) -> str:
        """The login under which the App writes, e.g. `patchwright[bot]`."""
        return await self._call("read the App", self._bot_login)

    async def git_token(self, *, renew: bool = False) -> GitToken:
        """A token for git on this repository alone; `renew` when the last one was refused."""

        def token() -> GitToken:
            if not renew and self._token is not None and self._token.good_for(TOKEN_MARGIN):
                return self._token
            at = self._installation, self._name, self._id
            self._token = git_token(self._integration, *at)
            return self._token

        return await self._call("get a token for git", token)

    async def repository(self) -> Repository:
        """The repository as it is now."""

        return await self._call("read the repository", self._read_repository)

    async def issue(self, number: int) -> IssueThread:
        """An issue with all its comments, oldest first."""

        def read() -> IssueThread:
            try:
                return self._read_thread(self._repo(), number)
            except GithubException as error:
                if error.status != 404:
                    raise
            # GitHub leads to where it was transferred to, which this repository's token cannot see.
            wide = installation_client(self._integration, self._installation, 0)
            try:
                # Not lazily: where its comments are is known only from the issue itself.
                return self._read_thread(wide.get_repo(self._id or self._name), number)
            finally:
                wide.close()

        return await self._call_about_issue(f"read issue #{number}", read)

    async def open_issues(self, most: int) -> tuple[ListedIssue, ...]:
        """Open issues and pull requests, those that were opened first first; so many at most."""
        read = lambda: backlog.open_issues(self._client.requester, self._at, most)  # noqa: E731
        return await self._call("list the open issues", read)

    async def rendered_images(self, number: int, *, reviews: bool = False) -> tuple[str, ...]:
        """The addresses of an issue's images as GitHub renders them; secrets for five minutes."""
        requester = self._client.requester
        return await self._call_about_issue(
            f"read the images of #{number}",
            lambda: pulls.rendered_images(requester, self._at, number, reviews=reviews),
        )

    @staticmethod
    def _read_thread(repo: ApiRepository, number: int) -> IssueThread:
        issue = repo.get_issue(number)
        return as_thread(issue, [as_comment(c) for c in issue.get_comments()])

    async def _call_about_issue(self, what: str, call: Callable[[], T]) -> T:
        try:
            return await self._call(what, call)
        except InstallationGone:
            raise
        except ForgeMissing as error:
            raise IssueGone(str(error)) from None

    async def permission(self, user: str, *, user_id: int = 0) -> Permission:
        """What a user may do here; role `none` for somebody unknown.

        With GitHub's id of the account, that account's, whatever it is called by now.
        """

        def read() -> Permission:
            data = self._read_permission(user)
            if user_id and (data is None or (data.get("user") or {}).get("id") != user_id):
                login = self._login_of(user_id)
                data = self._read_permission(login) if login else None
            if data is None:
                return Permission("none", "none")
            if data["permission"] not in PERMISSIONS:
                raise OddAnswer("no permission that GitHub knows")
            return Permission(data["permission"], data.get("role_name") or data["permission"])

        return await self._call("read a person's permission", read)

    def _read_permission(self, user: str) -> dict[str, Any] | None:
        """GitHub's answer; None for somebody unknown."""
        try:
            _, data = self._client.requester.requestJsonAndCheck(
                "GET", f"{self._at}/collaborators/{quote(user, safe='')}/permission"
            )
        except GithubException as error:
            if error.status != 404:
                raise
            self._read_repository()  # raises when it is the repository that is not there
            return None
        return cast(dict[str, Any], data)

    def _login_of(self, user_id: int) -> str:
        """The login that an account has now; empty when it was deleted."""
        try:
            _, data = self._client.requester.requestJsonAndCheck("GET", f"/user/{user_id}")
        except GithubException as error:
            if error.status != 404:
                raise
            return ""
        return str(data["login"])

    async def commit_author(self, sha: str) -> str:
        """Login of the person whose account GitHub names as a commit's author; empty for none."""
        read = lambda: accounts.commit_author(self._client.requester, self._at, sha)  # noqa: E731
        return await self._call(f"read who wrote {sha[:12]}", read)

    async def is_collaborator(self, user: str) -> bool:
        """Whether somebody was given access; to read a public repository is none."""

        def read() -> bool:
            found = accounts.is_collaborator(self._client.requester, self._at, user)
            if not found:
                self._read_repository()  # raises when it is the repository that is not there
            return found

        return await self._call("read a person's access", read)

    async def react(self, issue: int, reaction: Reaction, *, comment: int = 0) -> None:
        """React to an issue, or to a comment of it. Idempotent."""

        def write() -> None:
            target = f"comments/{comment}" if comment else str(issue)
            _, made = self._client.requester.requestJsonAndCheck(
                "POST",
                f"{self._at}/issues/{target}/reactions",
                input={"content": reaction},
            )
            if made["content"] != reaction:
                raise OddAnswer("another reaction")

        await self._call(f"react to issue #{issue}", write)

    async def put_comment(self, issue: int, marker: str, body: str) -> Comment:
        """Create or edit the App's own comment that begins with `marker`."""
        key = (issue, marker)
        text = f"{marker}\n{body}"

        def write() -> Comment:
            known = self._comments.get(key)
            if known is not None and known.body == text:
                return known
            place = CommentPlace(self._id, issue, marker)
            number = known.id if known is not None else self._id_of(place)
            try:
                if number:
                    return self._edit(number, text)
            except GithubException as error:
                if error.status != 404:
                    raise
            found = self._find_comment(issue, marker)
            if found is None:
                return self._make_comment(place, text)
            return found if found.body == text else self._edit(found.id, text)

        def write_and_cache() -> Comment:
            self._comments[key] = write()
            return self._comments[key]

        return await self._call_about_issue(f"comment on issue #{issue}", write_and_cache)

    async def pulls(self, branch: str) -> tuple[Pull, ...]:
        """All pull requests from this branch of the repository, newest first."""
        return await self._call(
            "look for pull requests", lambda: tuple(self._find_pulls(branch, "all"))
        )

    async def open_pulls(self, most: int) -> tuple[Pull, ...]:
        """Open pull requests of anybody, those that changed last first; so many at most."""

        def read() -> tuple[Pull, ...]:
            listed = self._repo().get_pulls(state="open", sort="updated", direction="desc")
            return tuple(as_pull(pull) for pull in itertools.islice(listed, most))

        return await self._call("list the open pull requests", read)

    async def open_pull(
        self, *, branch: str, base: str, title: str, body: str, draft: bool
    ) -> Pull:
        """The open pull request from `branch`, created if there is none."""

        def write() -> Pull:
            for pull in self._find_pulls(branch, "open"):
                return pull
            try:
                created = self._repo().create_pull(
                    base=base, head=branch, title=title, body=body, draft=draft
                )
            except GithubException as error:
                if error.status < 500 and not self._takes_pulls:
                    # Whatever GitHub answers then, which is not documented.
                    raise ForgeRefused(
                        f"Could not open a pull request from {branch}: pull requests are disabled "
                        f"in this repository (GitHub answered {error.status})."
                    ) from None
                if error.status != 422:
                    raise
                # Opened by another worker in between? Else the refusal is about something else.
                for pull in self._find_pulls(branch, "open"):
                    return pull
                if "already exists" in str(error.data):  # GitHub's lists may be seconds old
                    raise ForgeAway(
                        f"There is a pull request from {branch} that is not listed yet."
                    ) from None
                raise
            return as_pull(created)

        return await self._call(f"open a pull request from {branch}", write)

    async def add_labels(self, number: int, labels: Sequence[str]) -> None:
        """Add labels to an issue or pull request. Idempotent."""

        def write() -> None:
            _, present = self._client.requester.requestJsonAndCheck(
                "POST",
                f"{self._at}/issues/{number}/labels",
                input={"labels": list(labels)},
            )
            if not [label["name"] for label in present]:
                raise OddAnswer("no labels")

        if labels:
            await self._call(f"label #{number}", write)

    async def put_check(self, report: CheckReport) -> CheckRun:
        """Create or update our check run with this external id on this commit."""
        at = (self._client.requester, self._at)
        write = lambda: checks.put_check(*at, report, self._app.app_id)  # noqa: E731
        return await self._call("write a check run", write)

    async def request_reviewers(
        self, number: int, people: Sequence[str], teams: Sequence[str]
    ) -> tuple[str, ...]:
        """Ask people (logins) and teams (slugs) for a review; returns those that GitHub refused."""
        at = self._at, number

        def write() -> tuple[str, ...]:
            return pulls.request_reviewers(self._client.requester, *at, people, teams)

        return await self._call(f"ask for a review of #{number}", write) if people or teams else ()

    async def file(self, path: str, *, repository: str = "") -> bytes | None:
        """A file's content on the default branch; None when it is no regular file there."""

        def read() -> bytes | None:
            client = self._client
            if repository:  # the token for this one opens no other
                client = installation_client(self._integration, self._installation, 0)
            at = f"/repos/{repository}" if repository else self._at
            try:
                _, data = client.requester.requestJsonAndCheck(
                    "GET", f"{at}/contents/{quote(path)}"
                )
            except GithubException as error:
                if error.status == 404:
                    self._read_repository()  # raises when it is the repository that is not there
                    return None
                raise
            finally:
                if repository:
                    client.close()
            if content_kind(data) != "file" or data["encoding"] != "base64":
                return None
            return base64.b64decode(data["content"])

        return await self._call(f"read the file {path}", read)

    async def pull(self, number: int) -> Pull:
        """A pull request as it is now."""
        read = lambda: as_pull(self._repo().get_pull(number))  # noqa: E731
        return await self._call(f"read pull request #{number}", read)

    async def edit_pull(self, number: int, body: str) -> None:
        """Give a pull request this description. Idempotent."""
        write = lambda: pulls.edit_pull(  # noqa: E731
            self._client.requester, self._at, number, body
        )
        await self._call(f"edit pull request #{number}", write)

    async def changed_paths(self, number: int, *, most: int = 3_000) -> tuple[str, ...]:
        """The first files that a pull request changes, of a renamed one both names."""
        at = (self._at, number, most)
        read = lambda: pulls.changed_paths(self._client.requester, *at)  # noqa: E731
        return await self._call(f"list the files of #{number}", read)

    async def review_comments(self, number: int) -> tuple[ReviewComment, ...]:
        """Everything that was said about a pull request by anybody, oldest first."""
        read = lambda: pulls.review_comments(self._client.requester, self._at, number)  # noqa: E731
        return await self._call(f"read the review of #{number}", read)

    async def reply(self, number: int, thread: int, marker: str, body: str) -> None:
        """Answer in a thread of a pull request, once for each `marker`."""

        def write() -> None:
            text, login = f"{marker}\n{body}", self._bot_login()
            at = (self._client.requester, self._at, number)
            pulls.reply(*at, thread=thread, text=text, marker=marker, login=login)

        await self._call(f"answer in the review of #{number}", write)

    async def failed_checks(self, sha: str) -> tuple[FailedCheck, ...]:
        """The latest check runs of other Apps on a commit that ended badly."""
        own = self._app.app_id
        at = (self._at, sha, own)
        read = lambda: checks.failed_checks(self._client.requester, *at)  # noqa: E731
        return await self._call(f"read the checks of {sha[:12]}", read)

    async def is_on_branch(self, branch: str, sha: str) -> bool:
        """Whether a commit is on a branch of this repository; a fork's commits are not."""
        at = (self._at, branch, sha)
        read = lambda: checks.is_on_branch(self._client.requester, *at)  # noqa: E731
        return await self._call(f"look for {sha[:12]} on {branch}", read)

    async def check_log(self, check: int) -> bytes | None:
        """The log of a check run that is a job of GitHub Actions; None when there is none."""

        def read() -> bytes | None:
            return checks.check_log(self._client.requester, self._app, self._at, check)

        return await self._call(f"read the log of check {check}", read)

    async def ci_job(self, check: int) -> CiJob | None:
        """The job of GitHub Actions that a check run is; None where it is none, or unknown."""
        read = lambda: actions.ci_job(self._client.requester, self._at, check)  # noqa: E731
        return await self._call(f"read the job {check}", read)

    async def commit_with_both_outcomes(self, name: str, commits: Sequence[str]) -> str:
        """The first of these commits on which a check failed and passed; empty: there is none."""
        own = self._app.app_id

        def read() -> str:
            requester = self._client.requester
            return checks.commit_with_both_outcomes(requester, self._at, name, commits, own)

        return await self._call("read earlier checks", read)

    async def rerun_jobs(self, run_id: int, jobs: Sequence[int]) -> None:
        """Run failed jobs of one workflow run again, with those that depend on them."""
        write = lambda: actions.rerun_jobs(  # noqa: E731
            self._client.requester, self._at, run_id, jobs
        )
        await self._call("run failed jobs again", write)

    async def hears(self, event: str) -> bool:
        """Whether GitHub delivers events of this name to the App."""
        read = lambda: event in (self._integration.get_app().events or ())  # noqa: E731
        return await self._call("read the App", read)

    async def open_issue(
        self, marker: str, title: str, body: str, *, since: datetime | None = None
    ) -> int:
        """The App's own open issue that begins with `marker`, created if there is none.

        With `since`, a closed one counts, too, if it changed after that time.
        """

        def write() -> int:
            at, login = (self._client.requester, self._at), self._bot_login()
            if found := pulls.find_issue(*at, marker=marker, login=login, since=since):
                return found
            place = CommentPlace(self._id, 0, marker)
            if self._written is None or not self._id:
                return pulls.make_issue(*at, title=title, body=f"{marker}\n{body}")
            if self._written.may_be_unlisted(place):
                raise ForgeAway("GitHub may have the issue already and not list it yet.")
            self._written.begin(place)
            try:
                made = pulls.make_issue(*at, title=title, body=f"{marker}\n{body}")
            except GithubException as error:
                if error.status < 500:  # refused; else it may be there
                    self._written.forget(place)
                raise
            self._written.confirm(place, made)
            return made

        return await self._call("open an issue", write)

    async def edit_issue(
        self, number: int, marker: str, title: str, body: str, *, reopen: bool = False
    ) -> None:
        """Give an issue of the App's this title and text. Idempotent.

        With `reopen` it is open afterwards; without, as it was.
        """
        write = lambda: pulls.edit_issue(  # noqa: E731
            self._client.requester,
            self._at,
            number,
            title=title,
            body=f"{marker}\n{body}",
            reopen=reopen,
        )
        await self._call_about_issue(f"edit issue #{number}", write)

    async def branch_rules(self, branch: str) -> BranchRules:
        """The rules of rulesets that hold for a branch, which need not be there yet."""
        read = lambda: commits.branch_rules(  # noqa: E731
            self._client.requester, self._at, branch
        )
        return await self._call(f"read the rules of {branch}", read)

    async def make_branch(self, branch: str, sha: str) -> None:
        """Make a branch at a commit of GitHub's; one that is there stays as it is."""
        write = lambda: commits.make_branch(  # noqa: E731
            self._client.requester, self._at, branch, sha
        )
        await self._call(f"make the branch {branch}", write)

    async def found_commit(self, wanted: BranchCommit) -> str:
        """The id of the branch's last commit, if that is this one; else empty."""
        read = lambda: commits.found_commit(  # noqa: E731
            self._client.requester, self._at, wanted
        )
        return await self._call(f"look at the branch {wanted.branch}", read)

    async def commit_on_branch(self, wanted: BranchCommit) -> str:
        """Have GitHub make a commit, which it signs; returns its id."""

        def write() -> str:
            name = self._read_repository().full_name
            return commits.commit_on_branch(self._client.requester, self._at, name, wanted)

        return await self._call(f"commit on the branch {wanted.branch}", write)

    async def delete_branch(self, branch: str, sha: str) -> None:
        """Delete a branch if it is at this commit and nobody's base. Idempotent."""
        write = lambda: commits.delete_branch(  # noqa: E731
            self._client.requester, self._at, branch, sha
        )
        await self._call(f"delete the branch {branch}", write)

    async def last_word(self, number: int) -> datetime | None:
        """When a person last commented on a pull request or reviewed it; None: nobody has."""
        read = lambda: closing.last_word(self._client.requester, self._at, number)  # noqa: E731
        return await self._call(f"read the conversation of #{number}", read)

    async def is_by_a_person(self, sha: str) -> bool:
        """Whether a commit's author is no bot; one whose account is not known counts, too."""
        read = lambda: closing.is_by_a_person(self._client.requester, self._at, sha)  # noqa: E731
        return await self._call(f"read who wrote {sha[:12]}", read)

    async def merge_commit(self, number: int) -> str:
        """The commit of the base branch by which a pull request was merged; empty: not known."""

        def read() -> str:
            name = self._read_repository().full_name
            return closing.merge_commit(self._client.requester, name, number)

        return await self._call(f"read how pull request #{number} was merged", read)

    async def close_pull(self, number: int) -> None:
        """Close a pull request. Idempotent."""
        write = lambda: closing.set_open(  # noqa: E731
            self._client.requester, self._at, number, is_open=False
        )
        await self._call(f"close pull request #{number}", write)

    async def reopen_pull(self, number: int) -> None:
        """Open a closed pull request again. Idempotent."""
        write = lambda: closing.set_open(  # noqa: E731
            self._client.requester, self._at, number, is_open=True
        )
        await self._call(f"open pull request #{number} again", write)

    async def keep_ref(self, name: str, sha: str) -> None:
        """Keep a commit under a name outside of branches and tags. Idempotent."""
        write = lambda: closing.keep_ref(self._client.requester, self._at, name, sha)  # noqa: E731
        await self._call(f"keep {sha[:12]} as {name}", write)

    async def drop_ref(self, name: str) -> None:
        """Delete such a ref. Idempotent."""
        write = lambda: closing.drop_ref(self._client.requester, self._at, name)  # noqa: E731
        await self._call(f"delete {name}", write)

    async def close(self) -> None:
        """Release connections. Safe to call twice."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        with self._lock:
            self._client.close()
            self._integration.close()

    def _repo(self) -> ApiRepository:
        # Lazy: no request of its own.
        return self._client.withLazy(True).get_repo(self._id or self._name)

    def _read_repository(self) -> Repository:
        repo = self._client.get_repo(self._id or self._name)
        if self._id and repo.id != self._id:
            raise OddAnswer("another repository")
        found = Repository(
            full_name=repo.full_name,
            default_branch=repo.default_branch,
            private=repo.private,
            archived=repo.archived,
            clone_url=repo.clone_url,
            web_url=repo.html_url,
            id=repo.id,
            installation_id=self._installation,
            fork=repo.fork,
        )
        check_answer(found)
        self._name, self._id = found.full_name, found.id
        # Not known to an Enterprise Server before 3.21.
        self._takes_pulls = repo.raw_data.get("has_pull_requests") is not False
        return found

    def _bot_login(self) -> str:
        if not self._login:
            slug: object = self._integration.get_app().slug
            if not isinstance(slug, str) or not slug:
                raise OddAnswer("an App without a name")
            self._login = f"{slug}[bot]"
        return self._login

    def _find_comment(self, issue: int, marker: str) -> Comment | None:
        """Our own comment with this marker at its very start.

        Other people can write the marker too, and it may be in output that we quote; both
        must not count.
        """
        login = self._bot_login()
        for comment in self._repo().get_issue(issue).get_comments():
            found = as_comment(comment)
            if found.author == login and found.body.startswith(marker):
                return found
        return None

    def _id_of(self, place: CommentPlace) -> int:
        return self._written.id_of(place) if self._written and place.repository_id else 0

    def _make_comment(self, place: CommentPlace, text: str) -> Comment:
        """A new comment where none is listed.

        Raises `ForgeAway` while one may be there that is not listed yet: of a worker that died, or
        did not hear GitHub's answer.
        """
        issue = self._repo().get_issue(place.issue)
        if self._written is None or not place.repository_id:
            return as_comment(issue.create_comment(text))
        if self._written.may_be_unlisted(place):
            raise ForgeAway("GitHub may have the comment already and not list it yet.")
        self._written.begin(place)
        try:
            made = as_comment(issue.create_comment(text))
        except GithubException as error:
            if error.status < 500:  # refused; else it may be there
                self._written.forget(place)
            raise
        self._written.confirm(place, made.id)
        return made

    def _edit(self, comment: int, text: str) -> Comment:
        headers, data = self._client.requester.requestJsonAndCheck(
            "PATCH", f"{self._at}/issues/comments/{comment}", input={"body": text}
        )
        return as_comment(IssueComment(self._client.requester, headers, data))

    def _find_pulls(self, branch: str, state: str) -> list[Pull]:
        # GitHub finds nothing under the owner's old name.
        owner = self._read_repository().full_name.partition("/")[0]
        listed = self._repo().get_pulls(
            state=state, head=f"{owner}:{branch}", sort="created", direction="desc"
        )
        return [as_pull(p) for p in listed if p.head.ref == branch]

    async def _call(self, what: str, call: Callable[[], T]) -> T:
        """The call's answer, within a time for all of it; in a thread of its own.

        A server that sends a byte now and then keeps a thread for as long as it likes, so it gets
        none of those that others wait for, and the next call does not wait for its end.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def work(lock: threading.Lock) -> None:
            try:
                with lock:
                    found, error = self._call_as_installed(what, call), None
            except BaseException as raised:  # noqa: BLE001 - raised again where it is waited for
                found, error = None, raised
            with contextlib.suppress(RuntimeError):  # nobody waits any more
                loop.call_soon_threadsafe(_settle, answer, found, error)

        threading.Thread(target=work, args=(self._lock,), daemon=True).start()
        try:
            async with asyncio.timeout(CALL_TIMEOUTS * self._app.timeout_s):
                return await answer
        except TimeoutError:
            self._lock = threading.Lock()
            self._client = self._new_client()
            raise ForgeAway(f"Could not {what}: GitHub did not answer in time.") from None

    def _call_as_installed(self, what: str, call: Callable[[], T]) -> T:
        try:
            answer = self._try_again_once(call)
            check_answer(answer)
            return answer
        except GithubException as error:
            raise self._as_forge_error(what, error) from None
        except requests.RequestException as error:
            reason = type(error).__name__
            raise ForgeAway(f"Could not {what}: GitHub cannot be reached ({reason}).") from None
        except (*ODD, BadAttributeException) as error:
            reason = str(error) if isinstance(error, OddAnswer) else type(error).__name__
            raise ForgeAway(
                f"Could not {what}: what came was no answer of GitHub ({reason})."
            ) from None

    def _try_again_once(self, call: Callable[[], T]) -> T:
        """The call's answer; once more if the refusal was of the token or of the installation.

        Nothing was done yet, so nothing can be done twice.
        """
        try:
            return self._with_token(call)
        except GithubException as error:
            if error.status == 401:  # revoked before its time, or clocks apart
                self._client = self._new_client()
            elif error.status not in (403, 404, 422) or not self._is_installed_anew(error):
                raise
        try:
            return self._with_token(call)
        except GithubException as error:
            if error.status not in (404, 422) or not self._is_installed_anew(error):
                raise
        return self._with_token(call)

    def _with_token(self, call: Callable[[], T]) -> T:
        """The call, once there is a token: a refused one must not look like something missing."""
        if not self._installation:
            self._installation = self._installation_now()
            self._client = self._new_client()
        auth = self._client.requester.auth
        if auth is None or not auth.token:
            raise OddAnswer("no token")
        return call()

    def _is_installed_anew(self, error: GithubException) -> bool:
        """Whether the repository has another installation now, which is used from here on.

        It has when it was transferred to another account, or the App removed and installed again.
        """
        if isinstance(forge_error("", error), RateLimited):
            return False
        if error.status == 422 and not isinstance(error, NoAccess):
            return False
        try:
            installation = self._installation_now()
        except GithubException:
            return False
        if installation == self._installation:
            return False
        self._installation, self._token = installation, None
        self._client = self._new_client()
        return True

    def _installation_now(self) -> int:
        """The id of the App's installation for the repository. GitHub answers 404 for none."""
        _, found = self._integration.requester.requestJsonAndCheck(
            "GET", f"{self._at}/installation"
        )
        if not isinstance(found["id"], int):
            raise OddAnswer("an installation without an id")
        return found["id"]

    def _as_forge_error(self, what: str, error: GithubException) -> ForgeError:
        """The answer as an error; what is missing may be missing because the App was removed."""
        if error.status == 404 or isinstance(error, NoAccess):
            try:
                self._installation_now()
            except GithubException as installation_error:
                if installation_error.status == 404:
                    return InstallationGone(
                        f"Could not {what}: the App is no longer installed on {self._name}."
                    )
            except (requests.RequestException, *ODD):
                return forge_error(what, error)
        return forge_error(what, error)
