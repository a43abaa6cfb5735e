"""What git's words mean, and what git is told of this process."""

import base64
import os

import pytest

from agent.task import GatePolicy
from app.git.mirror import BranchTaken, PatchUnusable, PushRefused, push_error
from app.git.patch_check import check_changes, check_text
from app.git.process import (
    GitAway,
    GitDenied,
    GitError,
    GitFailed,
    GitMissing,
    clean_environment,
    git_error,
    token_settings,
)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("fatal: Authentication failed for 'https://x/y.git/'", GitDenied),
        ("fatal: could not read Username for 'https://x': terminal prompts disabled", GitDenied),
        ("fatal: unable to access 'x': The requested URL returned error: 403", GitDenied),
        ("remote: Repository not found.\nfatal: repository 'x' not found", GitMissing),
        ("fatal: unable to access 'x': Could not resolve host: x", GitAway),
        ("fatal: unable to access 'x': Failed to connect to x port 443", GitAway),
        ("error: RPC failed; curl 56 Recv failure: Connection reset by peer", GitAway),
        ("fatal: unable to access 'x': The requested URL returned error: 502", GitAway),
        ("fatal: unable to access 'x': The requested URL returned error: 301", GitAway),
        ("fatal: unable to access 'x': SSL certificate problem: unable to get issuer", GitAway),
        ("fatal: the remote end hung up unexpectedly", GitAway),
        ("fatal: bad object abc", GitFailed),
        ("fatal: couldn't find remote ref 'ssl-connection-refused'", GitFailed),
        ("!\tabc:refs/heads/ssl-timed-out-error: 401\t[rejected] (fetch first)", GitFailed),
        ("remote: error: 503", GitFailed),
        ("", GitFailed),
    ],
)
def test_git_messages_become_errors(said: str, kind: type[GitError]) -> None:
    error = git_error("fetch", said.encode())
    assert type(error) is kind
    assert str(error).startswith("git fetch failed: ")


def test_a_patch_cannot_speak_for_the_server() -> None:
    assert type(git_error("apply", b"error: 401: patch failed")) is GitFailed


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("!\tabc:refs/heads/b\t[rejected] (non-fast-forward)", BranchTaken),
        ("!\tabc:refs/heads/b\t[rejected] (fetch first)", BranchTaken),
        (
            "!\tabc:refs/heads/b\t[remote rejected] (failed to update ref)\ncannot lock ref",
            BranchTaken,
        ),
        ("!\tabc:refs/heads/b\t[remote rejected] (protected branch hook declined)", PushRefused),
        ("fatal: something else", PushRefused),
        ("", PushRefused),
    ],
)
def test_refused_push_messages_become_errors(said: str, kind: type[GitError]) -> None:
    assert type(push_error("b", said)) is kind


def test_a_refused_push_reports_the_reason() -> None:
    said = "To x\n!\tabc:refs/heads/b\t[remote rejected] (protected branch hook declined)\nDone"
    assert "protected branch hook declined" in str(push_error("b", said))


def test_nothing_of_this_process_reaches_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    monkeypatch.setenv("GIT_TRACE_CURL", "1")
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'core.pager=x'")
    monkeypatch.setenv("PATCHWRIGHT_OPERATOR_TOKEN", "secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    env = clean_environment({})
    assert not {"GIT_DIR", "GIT_TRACE_CURL", "GIT_CONFIG_PARAMETERS"} & set(env)
    assert "secret" not in "".join(env.values())
    assert env["HTTPS_PROXY"] == "http://proxy.example:3128"
    assert env["PATH"] == os.environ["PATH"]


def test_a_token_is_sent_as_github_wants_it() -> None:
    header = token_settings("ghs_x")["http.extraHeader"]
    kind, _, value = header.partition("Basic ")
    assert kind == "Authorization: "
    assert base64.b64decode(value) == b"x-access-token:ghs_x"


def file_patch(path: str, mode: str = "") -> str:
    extra = f"new file mode {mode}\n" if mode else ""
    old = "/dev/null" if mode else f"a/{path}"
    hunk = "@@ -0,0 +1 @@\n+b\n" if mode else "@@ -1 +1 @@\n-a\n+b\n"
    return f"diff --git a/{path} b/{path}\n{extra}--- {old}\n+++ b/{path}\n{hunk}"


@pytest.mark.parametrize(
    "patch",
    [
        "",
        "no patch at all",
        file_patch("../outside"),
        file_patch("/etc/passwd"),
        file_patch(".git/hooks/post-commit", "100755"),
        file_patch("sub/.GIT/config"),
        file_patch(".github/workflows/ci.yml"),
        file_patch(".gitattributes", "100644"),
        file_patch("conf/sitecustomize.py", "100644"),
    ],
)
def test_hostile_patches_are_refused_by_their_text(patch: str) -> None:
    with pytest.raises(PatchUnusable):
        check_text(patch, GatePolicy())


def test_an_ordinary_patch_passes() -> None:
    check_text(file_patch("pkg/a.py"), GatePolicy())


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b":000000 120000 0000 1111 A\0link\0",
        b":160000 160000 0000 1111 M\0sub\0",
        b":100644 100644 0000 1111 M\0.github/workflows/ci.yml\0",
        b":100644 100644 0000 1111 M\0fine.py\0:000000 100644 0 1 A\0x/.git/config\0",
    ],
)
def test_what_git_would_write_is_checked_again(raw: bytes) -> None:
    with pytest.raises(PatchUnusable):
        check_changes(raw, GatePolicy())


def test_ordinary_changes_pass() -> None:
    check_changes(b":100644 000000 1 0 D\0a.py\0:000000 100755 0 1 A\0b c.py\0", GatePolicy())
