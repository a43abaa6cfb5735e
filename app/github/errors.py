"""Errors of GitHub, distinguished by what the caller can do about them."""

from __future__ import annotations


class ForgeError(Exception):
    """GitHub did not do what was asked; the message says what and why, never a token."""


class ForgeAway(ForgeError):
    """GitHub cannot be reached or failed by itself; try again later."""


class ForgeDenied(ForgeError):
    """The App may not do this: permission missing, installation suspended, issue locked."""


class ForgeMissing(ForgeError):
    """It does not exist, or the App may not see it."""


class InstallationSuspended(ForgeDenied):
    """The App's installation is suspended; only its owner can lift that."""


class InstallationGone(ForgeMissing):
    """The App was removed from the account or the repository taken from the installation."""


class IssueGone(ForgeMissing):
    """The issue was deleted, turned into a discussion, or moved where the App sees nothing."""


class RepositoryArchived(ForgeDenied):
    """The repository is archived and so read-only."""


class ConversationLocked(ForgeDenied):
    """The issue is locked; the App may not comment on it."""


class TokenRefused(ForgeDenied):
    """GitHub rejects the App's tokens, even a new one."""


class ForgeRefused(ForgeError):
    """GitHub found the request itself wrong; repeating it will not help."""


class CommitRefused(ForgeRefused):
    """GitHub does not make the commit or the branch; the message is GitHub's own."""


class RerunRefused(ForgeRefused):
    """GitHub does not run the job again; the message is GitHub's own."""

    def __init__(self, message: str, *, is_running: bool) -> None:
        super().__init__(message)
        self.is_running = is_running
        """Whether its workflow runs already."""


class BranchElsewhere(ForgeRefused):
    """The branch has commits of somebody else."""


class RateLimited(ForgeError):
    """GitHub asks to wait."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds to wait before the next call."""
