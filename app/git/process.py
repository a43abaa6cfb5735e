"""Running the git binary with nothing of the machine's or the user's configuration in it.

GitPython is not used for this: it hands git the whole environment of the process (so `GIT_DIR`,
`GIT_TRACE_CURL` and the like reach it, and the latter prints tokens) and cannot take any of it
away.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app.git.history import explain_fault, fetch_settings

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
    **fetch_settings(),
}


WORKING_DIRECTORY = "/"
"""Where git starts: not in the folder of whoever calls, which may be a hostile checkout."""

MOST_MEMORY = 4 * 1024**3
"""Bytes that one git process may allocate; what it maps of its own files is not counted."""

MOST_OUTPUT = 256 * 1024**2
"""Bytes of the largest file that one git process may write, its output included."""

OVER_THE_NETWORK = ("fetch", "push", "ls-remote")
"""Commands that talk to a server."""


class GitError(Exception):
    """Git did not do what was asked; the message says what and why, never a token."""

    output = ""
    """Everything that git said, where it ran."""


class GitAway(GitError):
    """The server cannot be reached or failed by itself; try again later."""


class GitDenied(GitError):
    """The server refused the token; get a new one."""


class GitMissing(GitError):
    """There is no such repository, branch or commit."""


class GitTooMuch(GitError):
    """Git would write more than it may."""


class GitFailed(GitError):
    """Git ended with an error that has no name of its own here."""

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message)
        self.output = output


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
        "GIT_GRAFT_FILE": "/nonexistent/grafts",
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
    most_output: int = MOST_OUTPUT,
    most_memory: int = MOST_MEMORY,
) -> bytes:
    """Run git on a bare repository and return what it printed.

    `settings` are added as configuration, `environment` as variables; paths in either and among
    the arguments are absolute. `most_output` bounds each file that git writes, and what it prints,
    in bytes; `most_memory` what it allocates. Raises `GitAway` at the time limit, and what
    `git_error` makes of a failure.
    """
    # Files and not pipes: what git prints is bounded like all that it writes.
    limits = _ProcessLimits(most_memory, most_output)
    with (
        stdout_to.open("w+b") if stdout_to is not None else tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as messages,
        _started(git_dir, arguments, settings, environment, (output, messages), limits) as process,
    ):
        try:
            process.communicate(stdin, timeout_s)
        except subprocess.TimeoutExpired:
            raise _took_too_long(arguments[0], timeout_s) from None
        if process.returncode == 0 and stdout_to is not None:
            return b""
        printed, said = _content(output), _content(messages)
    if process.returncode == 0:
        return printed
    if process.returncode == -signal.SIGXFSZ or _CUT_OFF.search(said):
        raise GitTooMuch(f"git {arguments[0]} wrote more than {most_output} bytes.")
    raise git_error(arguments[0], printed + said)


_CUT_OFF = re.compile(rb"died of signal %d\b|File too large" % signal.SIGXFSZ)
"""What git says when a process that it started met the bound."""


def _content(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read(MOST_OUTPUT)


@contextmanager
def git_output(
    git_dir: Path,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = 600.0,
    most_memory: int = MOST_MEMORY,
) -> Iterator[Iterator[bytes]]:
    """What git prints, piece by piece, for output that may have no end; git ends with the block.

    The pieces end with what `run_git` raises.
    """
    pipes = (subprocess.PIPE, subprocess.PIPE)
    limits = _ProcessLimits(most_memory, MOST_OUTPUT)
    with _started(git_dir, arguments, None, environment, pipes, limits) as process:
        # A thread would be needed to read both; what it says fits in a pipe.
        timer = threading.Timer(timeout_s, _end, (process,))
        timer.start()
        try:
            yield _pieces(process, arguments[0])
        finally:
            timer.cancel()


def _pieces(process: subprocess.Popen[bytes], command: str) -> Iterator[bytes]:
    assert process.stdout is not None and process.stderr is not None
    while piece := process.stdout.read1(1 << 16):  # type: ignore[attr-defined]
        yield piece
    if process.wait() == -signal.SIGKILL:
        raise GitError(f"git {command} took too long.")
    if process.returncode:
        raise git_error(command, process.stderr.read())


@dataclass(frozen=True, slots=True)
class _ProcessLimits:
    """In bytes, for git and all that it starts."""

    memory: int
    file_size: int


@contextmanager
def _started(
    git_dir: Path,
    arguments: Sequence[str],
    settings: Mapping[str, str] | None,
    environment: Mapping[str, str] | None,
    outputs: tuple[BinaryIO | int, BinaryIO | int],
    limits: _ProcessLimits,
) -> Iterator[subprocess.Popen[bytes]]:
    """A git process with limits, which ends with the block together with all that it started."""
    if shutil.which("git") is None:
        raise GitError("The git program is missing. Install git.")
    # Set in a shell of its own that becomes git: what is set from outside comes too late for a
    # quick command, and nothing may run between fork and exec of a process with threads.
    blocks, kib = limits.file_size // 512, limits.memory // 1024
    process = subprocess.Popen(  # noqa: S603
        [
            *("/bin/sh", "-c", _LIMITED, "git", str(blocks), str(kib)),
            *(f"--git-dir={git_dir.absolute()}", *arguments),
        ],
        cwd=WORKING_DIRECTORY,
        env=clean_environment(settings or {}) | dict(environment or {}),
        stdin=subprocess.PIPE,
        stdout=outputs[0],
        stderr=outputs[1],
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            _end(process)


_LIMITED = 'ulimit -c 0; ulimit -f "$1"; ulimit -d "$2"; shift 2; exec git "$@"'
"""POSIX: -f is in blocks of 512 bytes; the kernel's -d, which every shell has, in KiB."""


def _end(process: subprocess.Popen[bytes]) -> None:
    """End git and what it started, if it still runs."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _took_too_long(command: str, timeout_s: float) -> GitError:
    # A slow server may be faster later; our own work on the same data will not.
    kind = GitAway if command in OVER_THE_NETWORK else GitError
    return kind(f"git {command} took longer than {timeout_s:.0f} s.")


_DENIED = re.compile(
    r"authentication failed|could not read (username|password)|error: 40[13]", re.I
)
_MISSING = re.compile(r"repository +not found|error: 404", re.I)
_MOVED = re.compile(r"error: 30[1278]")
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
    if command == "fetch" and (fault := explain_fault(printed)):
        return GitFailed(fault, printed)
    own = [line for line in printed.splitlines() if line.startswith(("fatal: ", "error: "))]
    sentences = "\n".join(re.sub(r"(?<=\s)'[^']*'", "", line) for line in own)
    if _MOVED.search(sentences):
        # Its new address is known to the API, and is taken when the step is done again.
        return GitAway(f"git {command} failed: the repository has moved.")
    for sign, kind in ((_DENIED, GitDenied), (_MISSING, GitMissing), (_UNAVAILABLE, GitAway)):
        if sign.search(sentences):
            error: GitError = kind(text)
            error.output = printed
            return error
    return GitFailed(text, printed)
