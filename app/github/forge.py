"""The GitHub seam: what the app needs of a forge (`app.github.client` is GitHub as that forge).

A forge is bound to one repository as one installation of the App sees it. Every outward act has a
key under which it is looked up before it is done again: a comment its hidden marker, a pull
request its branch, a check run its external id. So a crash between an act and the record of it
does not double the act.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol

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

Reaction = Literal["+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes"]


class Forge(Protocol):
    """One repository on GitHub. Every method may raise any `ForgeError`."""

    @property
    def name(self) -> str:
        """`owner/name` of the repository."""
        ...

    async def bot_login(self) -> str:
        """The login under which the App writes, e.g. `patchwright[bot]`."""
        ...

    async def git_token(self, *, renew: bool = False) -> GitToken:
        """A token for git on this repository alone; `renew` when the last one was refused."""
        ...

    async def repository(self) -> Repository:
        """The repository as it is now."""
        ...

    async def issue(self, number: int) -> IssueThread:
        """An issue with all its comments, oldest first."""
        ...

    async def open_issues(self, most: int) -> tuple[ListedIssue, ...]:
        """Open issues and pull requests, those that were opened first first; so many at most."""
        ...

    async def rendered_images(self, number: int, *, reviews: bool = False) -> tuple[str, ...]:
        """The addresses of an issue's images as the forge renders them.

        Those of a private repository are signed: who has one can read the image for a while.
        `reviews`: of a pull request, with those in its reviews and comments on lines.
        """
        ...

    async def permission(self, user: str, *, user_id: int = 0) -> Permission:
        """What a user may do here; role `none` for somebody unknown.

        With GitHub's id of the account, that account's, whatever it is called by now.
        """
        ...

    async def commit_author(self, sha: str) -> str:
        """Login of the person whose account GitHub names as a commit's author; empty for none."""
        ...

    async def is_collaborator(self, user: str) -> bool:
        """Whether somebody was given access; to read a public repository is none."""
        ...

    async def react(self, issue: int, reaction: Reaction, *, comment: int = 0) -> None:
        """React to an issue, or to a comment of it. Idempotent."""
        ...

    async def put_comment(self, issue: int, marker: str, body: str) -> Comment:
        """Create or edit the App's own comment that begins with `marker`.

        `marker` is an HTML comment on a separate line; it is put before `body`.
        """
        ...

    async def pulls(self, branch: str) -> tuple[Pull, ...]:
        """All pull requests from this branch of the repository, newest first."""
        ...

    async def open_pulls(self, most: int) -> tuple[Pull, ...]:
        """Open pull requests of anybody, those that changed last first; so many at most."""
        ...

    async def open_pull(
        self, *, branch: str, base: str, title: str, body: str, draft: bool
    ) -> Pull:
        """The open pull request from `branch`, created if there is none."""
        ...

    async def add_labels(self, number: int, labels: Sequence[str]) -> None:
        """Add labels to an issue or pull request. Idempotent."""
        ...

    async def put_check(self, report: CheckReport) -> CheckRun:
        """Create or update the check run with this external id on this commit."""
        ...

    async def request_reviewers(
        self, number: int, people: Sequence[str], teams: Sequence[str]
    ) -> tuple[str, ...]:
        """Ask people (logins) and teams (slugs) for a review; returns those that GitHub refused.

        Who was asked or has reviewed before is not asked again.
        """
        ...

    async def file(self, path: str, *, repository: str = "") -> bytes | None:
        """A file's content on the default branch; None when it is no regular file there.

        `repository` is another one (`owner/name`), which the installation may not see: None then.
        """
        ...

    async def pull(self, number: int) -> Pull:
        """A pull request as it is now."""
        ...

    async def edit_pull(self, number: int, body: str) -> None:
        """Give a pull request this description. Idempotent."""
        ...

    async def changed_paths(self, number: int, *, most: int = 3_000) -> tuple[str, ...]:
        """The first files that a pull request changes, of a renamed one both names.

        GitHub lists 3,000.
        """
        ...

    async def review_comments(self, number: int) -> tuple[ReviewComment, ...]:
        """Everything that was said about a pull request by anybody, oldest first.

        Without the words of approvals and of dismissed reviews.
        """
        ...

    async def reply(self, number: int, thread: int, marker: str, body: str) -> None:
        """Answer in a thread of a pull request, once for each `marker`."""
        ...

    async def failed_checks(self, sha: str) -> tuple[FailedCheck, ...]:
        """The latest check runs of other Apps on a commit that ended badly."""
        ...

    async def is_on_branch(self, branch: str, sha: str) -> bool:
        """Whether a commit is on a branch of this repository; a fork's commits are not."""
        ...

    async def check_log(self, check: int) -> bytes | None:
        """The log of a check run that is a job of GitHub Actions; None when there is none."""
        ...

    async def ci_job(self, check: int) -> CiJob | None:
        """The job of GitHub Actions that a check run is; None where it is none, or unknown."""
        ...

    async def commit_with_both_outcomes(self, name: str, commits: Sequence[str]) -> str:
        """The first of these commits on which a check failed and passed; empty: there is none."""
        ...

    async def rerun_jobs(self, run_id: int, jobs: Sequence[int]) -> None:
        """Run failed jobs of one workflow run again, with those that depend on them.

        Not idempotent: a job that has run again since has another id, and `ci_job` tells the
        workflow's attempt. Raises `RerunRefused`, and `ForgeDenied` without the permission.
        """
        ...

    async def hears(self, event: str) -> bool:
        """Whether GitHub delivers events of this name to the App."""
        ...

    async def open_issue(
        self, marker: str, title: str, body: str, *, since: datetime | None = None
    ) -> int:
        """The App's own open issue that begins with `marker`, created if there is none.

        With `since`, a closed one counts, too, if it changed after that time.
        """
        ...

    async def edit_issue(
        self, number: int, marker: str, title: str, body: str, *, reopen: bool = False
    ) -> None:
        """Give an issue of the App's this title and text. Idempotent.

        With `reopen` it is open afterwards; without, as it was.
        """
        ...

    async def branch_rules(self, branch: str) -> BranchRules:
        """The rules of rulesets that hold for a branch, which need not be there yet."""
        ...

    async def make_branch(self, branch: str, sha: str) -> None:
        """Make a branch at a commit of GitHub's; one that is there stays as it is. Idempotent.

        Raises `CommitRefused` where a rule forbids it.
        """
        ...

    async def found_commit(self, wanted: BranchCommit) -> str:
        """The id of the branch's last commit, if that is this one; else empty."""
        ...

    async def commit_on_branch(self, wanted: BranchCommit) -> str:
        """Have GitHub make a commit, which it signs; returns its id. Idempotent.

        Raises `BranchElsewhere` where the branch has other commits, and `CommitRefused`.
        """
        ...

    async def delete_branch(self, branch: str, sha: str) -> None:
        """Delete a branch if it is at this commit and nobody's base. Idempotent."""
        ...

    async def last_word(self, number: int) -> datetime | None:
        """When a person last commented on a pull request or reviewed it; None: nobody has."""
        ...

    async def is_by_a_person(self, sha: str) -> bool:
        """Whether a commit's author is no bot; one whose account is not known counts, too."""
        ...

    async def merge_commit(self, number: int) -> str:
        """The commit of the base branch by which a pull request was merged; empty: not known.

        Of one that was rebased it is the last of its commits there.
        """
        ...

    async def close_pull(self, number: int) -> None:
        """Close a pull request. Idempotent."""
        ...

    async def reopen_pull(self, number: int) -> None:
        """Open a closed pull request again. Idempotent.

        Raises `ForgeRefused` where its branch is gone, or has left the commit it was closed with.
        """
        ...

    async def keep_ref(self, name: str, sha: str) -> None:
        """Keep a commit under a name outside of branches and tags. Idempotent."""
        ...

    async def drop_ref(self, name: str) -> None:
        """Delete such a ref. Idempotent."""
        ...

    async def close(self) -> None:
        """Release connections. Safe to call twice."""
        ...
