"""A submodule is read only when the server gives it to this run's token, whatever is cached."""

from __future__ import annotations

import base64
import os
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.git.mirror import Mirror
from app.git.process import GitError, GitMissing
from app.git.tree_archive import TreeOptions, TreeSource, write_tree
from tests.integration.app.git.test_tree_archive import git, link, repository


class GitServer(ThreadingHTTPServer):
    """Gives each repository to the tokens that may read it, and says 404 to others."""

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = root
        self.readable: dict[str, set[str]] = {}
        self.asked: list[tuple[str, str, bool]] = []

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/o/{name}.git"


class _Handler(BaseHTTPRequestHandler):
    server: GitServer

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        name = parts.path.split("/")[2].removesuffix(".git")
        given = self.headers.get("Authorization", "").removeprefix("Basic ")
        token = base64.b64decode(given).decode().partition(":")[2]
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        may = token in self.server.readable.get(name, set())
        self.server.asked.append((name, token, may))
        if not may:
            self._answer(404, {}, b"Repository not found.")
            return
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": parts.path.removeprefix("/o"),
            "REQUEST_METHOD": self.command,
            "QUERY_STRING": parts.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }
        words = ["git", "-c", "safe.directory=*", "http-backend"]
        out = subprocess.run(words, input=body, env=environment, capture_output=True, check=True)
        head, _, rest = out.stdout.partition(b"\r\n\r\n")
        lines = (line.split(": ", 1) for line in head.decode().split("\r\n"))
        self._answer(200, dict(line for line in lines if line[0] != "Status"), rest)

    def do_POST(self) -> None:
        self.do_GET()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    made = GitServer(tmp_path / "served")
    made.root.mkdir()
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def served(server: GitServer, folder: Path) -> None:
    target = server.root / f"{folder.name}.git"
    words = ["git", "clone", "-q", "--bare", str(folder), str(target)]
    subprocess.run(words, check=True, capture_output=True)


def test_a_cached_mirror_is_no_permission(server: GitServer, tmp_path: Path) -> None:
    secret = repository(tmp_path / "secret", {"payroll.py": "SALARIES = 1\n"})
    repository(tmp_path / "open", {"app.py": "x = 1\n"})
    commit = link(tmp_path / "open", "lib", secret, "../secret.git")
    for name in ("secret", "open"):
        served(server, tmp_path / name)
    server.readable = {"open": {"a"}, "secret": {"b"}}

    def other(url: str) -> Mirror:
        return Mirror.of_remote(tmp_path / "mirrors", url)

    own = other(server.url("open"))
    own.fetch("a")
    source = TreeSource(own, server.url("open"), other, "a")
    out = tmp_path / "out.tar"
    # A run on the other repository itself, on the same worker.
    cached = other(server.url("secret"))
    cached.fetch("b")
    assert cached.has(secret)
    server.asked.clear()
    with pytest.raises(GitMissing):
        write_tree(source, commit, out, TreeOptions(submodules=True))
    assert not out.exists() and ("secret", "a", False) in server.asked
    with pytest.raises(GitMissing):
        cached.check_access("a")
    cached.check_access("b")

    server.readable["secret"].add("a")
    for _ in range(2):
        server.asked.clear()
        write_tree(source, commit, out, TreeOptions(submodules=True))
        assert ("secret", "a", True) in server.asked
        with tarfile.open(out) as archive:
            assert "lib/payroll.py" in archive.getnames()


def test_a_commit_no_longer_on_the_server_is_not_given_out(
    server: GitServer, tmp_path: Path
) -> None:
    repository(tmp_path / "lib", {"code": "1"})
    git(tmp_path / "lib", "checkout", "-qb", "embargo")
    git(tmp_path / "lib", "commit", "-q", "--allow-empty", "-m", "not yet public")
    hidden = git(tmp_path / "lib", "rev-parse", "HEAD")
    repository(tmp_path / "r", {"main": "m"})
    commit = link(tmp_path / "r", "lib", hidden, "../lib.git")
    for name in ("lib", "r"):
        served(server, tmp_path / name)
    server.readable = {"r": {"t"}, "lib": {"t"}}

    def other(url: str) -> Mirror:
        return Mirror.of_remote(tmp_path / "mirrors", url)

    own, lib = other(server.url("r")), other(server.url("lib"))
    own.fetch("t")
    lib.fetch("t")
    git(server.root / "lib.git", "branch", "-D", "embargo")
    source = TreeSource(own, server.url("r"), other, "t")
    with pytest.raises(GitError, match="no commit"):
        write_tree(source, commit, tmp_path / "out.tar", TreeOptions(submodules=True))
    assert lib.has(hidden) and not lib.is_on_any_branch(hidden)
    main = lib.base_commit("main")
    assert lib.is_on_branch("main", main) and not lib.is_on_branch("main", hidden)
    assert not lib.is_on_branch("nowhere", main)
