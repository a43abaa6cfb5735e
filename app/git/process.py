"""Running the git binary with nothing of the machine's or the user's configuration in it.

GitPython is not used for this: it hands git the whole environment of the process (so `GIT_DIR`,
`GIT_TRACE_CURL` and the like reach it, and the latter prints tokens) and cannot take any of it
away.
"""

from __future__ import annotations

import base64
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

INHERITED_VARIABLES = (
    "PATH",
    "TMPDIR",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "no_proxy",
    "NO_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
"""What git is told of this process' environment: where programs, proxies and certificates are."""

SETTINGS = {
    # Nothing that is configured may run.
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.attributesFile": "/dev/null",
    "core.excludesFile": "/dev/null",
    "credential.helper": "",
    # Names that another file system takes for git's own are refused on this one, too.
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
    "protocol.allow": "never",
    "protocol.http.allow": "always",
    "protocol.https.allow": "always",
    "protocol.file.allow": "always",
    # A redirect would carry the token's header to another server.
    "http.followRedirects": "false",
    # A server that sends less than 1000 bytes/s for a minute is given up.
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
    "fetch.recurseSubmodules": "false",
    "submodule.recurse": "false",
    "gc.autoDetach": "false",
    "maintenance.autoDetach": "false",
    "tar.umask": "0022",
    # What comes in is checked whole. Old harmless faults, which GitHub serves too, are let pass;
    # names that a checkout could take for git's own are not.
    "fetch.fsckObjects": "true",
    "fetch.fsck.hasDot": "error",
    "fetch.fsck.hasDotdot": "error",
    "fetch.fsck.hasDotgit": "error",
    "fetch.fsck.zeroPaddedFilemode": "warn",
    "fetch.fsck.badFilemode": "warn",
    "fetch.fsck.badTimezone": "warn",
    "fetch.fsck.badDateOverflow": "warn",
    "fetch.fsck.zeroPaddedDate": "warn",
    "fetch.fsck.missingSpaceBeforeDate": "warn",
    "fetch.fsck.missingSpaceBeforeEmail": "warn",
    "fetch.fsck.missingNameBeforeEmail": "warn",
    "fetch.fsck.missingEmail": "warn",
    "fetch.fsck.badEmail": "warn",
    "fetch.fsck.badName": "warn",
    "fetch.fsck.gitmodulesUrl": "warn",
}


WORKING_DIRECTORY = "/"
"""Where git starts: not in the folder of whoever calls, which may be a hostile checkout."""

OVER_THE_NETWORK = ("fetch", "push", "ls-remote")
"""Commands that talk to a server."""


class GitError(Exception):
    """Git did not do what was asked; the message says what and why, never a token."""


class GitAway(GitError):
    """The server cannot be reached or failed by itself; try again later."""


class GitDenied(GitError):
    """The server refused the token; get a new one."""


class GitMissing(GitError):
    """There is no such repository, branch or commit."""


class GitFailed(GitError):
    """Git ended with an error that has no name of its own here."""

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message)
        self.output = output
        """Everything that git said."""


def token_settings(token: str) -> dict[str, str]:
    """Settings that send a token with every request; for `run_git`'s environment only."""
    basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    return {"http.extraHeader": f"Authorization: Basic {basic}"}


def clean_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a git process. Settings go in it, so that none is in argv."""
    environment = {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
    everything = {**SETTINGS, **settings}
    environment |= {
        "LC_ALL": "C.UTF-8",
        "HOME": "/nonexistent",
        "XDG_CONFIG_HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_CONFIG_COUNT": str(len(everything)),
    }
    for number, (key, value) in enumerate(everything.items()):
        environment[f"GIT_CONFIG_KEY_{number}"] = key
        environment[f"GIT_CONFIG_VALUE_{number}"] = value
    return environment


def run_git(
    git_dir: Path,
    *arguments: str,
    stdin: bytes = b"",
    settings: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    stdout_to: Path | None = None,
    timeout_s: float = 600.0,
) -> bytes:
    """Run git on a bare repository and return what it printed.

    `settings` are added as configuration, `environment` as variables; paths in either and among
    the arguments are absolute. Raises `GitAway` at the time limit, and what `git_error` makes of a
    failure.
    """
    command = ["git", f"--git-dir={git_dir.absolute()}", *arguments]
    env = clean_environment(settings or {}) | dict(environment or {})
    try:
        if stdout_to is None:
            done = subprocess.run(  # noqa: S603
                command,
                cwd=WORKING_DIRECTORY,
                env=env,
                input=stdin,
                capture_output=True,
                timeout=timeout_s,
                check=False,
            )
        else:
            with stdout_to.open("wb") as out:
                done = subprocess.run(  # noqa: S603
                    command,
                    cwd=WORKING_DIRECTORY,
                    env=env,
                    input=stdin,
                    stdout=out,
                    stderr=subprocess.PIPE,
                    timeout=timeout_s,
                    check=False,
                )
    except subprocess.TimeoutExpired:
        # A slow server may be faster later; our own work on the same data will not.
        slow = GitAway if arguments[0] in OVER_THE_NETWORK else GitError
        raise slow(f"git {arguments[0]} took longer than {timeout_s:.0f} s.") from None
    except FileNotFoundError:
        raise GitError("The git program is missing. Install git.") from None
    if done.returncode == 0:
        return done.stdout or b""
    raise git_error(arguments[0], (done.stdout or b"") + done.stderr)


_DENIED = re.compile(
    r"authentication failed|could not read (username|password)|error: 40[13]", re.I
)
_MISSING = re.compile(r"repository +not found|error: 404", re.I)
_UNAVAILABLE = re.compile(
    r"could not resolve host|failed to connect|couldn't connect"
    r"|connection (refused|reset|timed out)|operation (timed out|too slow)"
    r"|error: (5\d\d|429)|early eof|hung up|rpc failed|ssl|tls|proxy"
    r"|empty reply|transfer closed|http/2 stream",
    re.I,
)


def git_error(command: str, output: bytes) -> GitError:
    """What a failed git command's sentences mean for the caller.

    Only git's own sentences count, without the names in them: a repository or branch may well be
    called `ssl-connection-refused`.
    """
    printed = output.decode("utf-8", errors="replace").strip()
    last = printed.splitlines()[-1] if printed else "it said nothing"
    text = f"git {command} failed: {last}"
    if command not in OVER_THE_NETWORK:
        return GitFailed(text, printed)
    own = [line for line in printed.splitlines() if line.startswith(("fatal: ", "error: "))]
    sentences = "\n".join(re.sub(r"(?<=\s)'[^']*'", "", line) for line in own)
    if _DENIED.search(sentences):
        return GitDenied(text)
    if _MISSING.search(sentences):
        return GitMissing(text)
    if _UNAVAILABLE.search(sentences):
        return GitAway(text)
    return GitFailed(text, printed)
