"""Signing a commit of a mirror with an SSH key of the operator's, by git and ssh-keygen.

GitHub takes a signature for verified where the key is a signing key of the account to which the
committer's address belongs, and Apps have no keys
(https://docs.github.com/en/authentication/managing-commit-signature-verification). So the committer
is an ordinary account; the author stays the App.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from app.git.mirror import Identity, Mirror
from app.git.process import GitError, GitFailed, run_git


class SigningFailed(GitError):
    """The commit could not be signed; the message says what to do."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private SSH key without a passphrase, in a file, and whose it is."""

    path: Path
    committer: Identity


def signed_copy(mirror: Mirror, commit: str, key: SigningKey, branch: str) -> str:
    """The same commit with a committer and a signature; returns its id.

    Made again, it is the same where the key is of a kind that signs without chance (Ed25519, RSA).
    `branch` names it in the mirror until it is pushed. Raises `SigningFailed`.
    """
    limits = mirror.limits
    form = "%T%x00%P%x00%an%x00%ae%x00%at%x00%B"
    told = run_git(mirror.git_dir, "log", "-1", f"--format={form}", commit).decode()
    tree, parents, name, email, at, message = told.split("\0", 5)
    date = f"{at} +0000"
    who = {
        "GIT_AUTHOR_NAME": name,
        "GIT_AUTHOR_EMAIL": email,
        "GIT_AUTHOR_DATE": date,
        "GIT_COMMITTER_NAME": key.committer.name,
        "GIT_COMMITTER_EMAIL": key.committer.email,
        "GIT_COMMITTER_DATE": date,
    }
    follows = [word for parent in parents.split() for word in ("-p", parent)]
    try:
        made = run_git(
            mirror.git_dir,
            *("commit-tree", tree, *follows, "-S", "-F", "-"),
            stdin=message.strip("\n").encode() + b"\n",
            settings={"gpg.format": "ssh", "user.signingKey": str(key.path.absolute())},
            environment=who,
            timeout_s=limits.command_s,
        )
    except GitFailed as error:
        said = re.sub(r"\s+", " ", error.output)[:300]
        raise SigningFailed(
            f"The commit could not be signed with {key.path}: {said}. It must be a private SSH key "
            "in OpenSSH's format without a passphrase, readable by this account alone, and "
            "ssh-keygen must be installed."
        ) from None
    signed = made.decode().strip()
    run_git(mirror.git_dir, "update-ref", f"refs/patchwright/{branch}", signed)
    return signed
