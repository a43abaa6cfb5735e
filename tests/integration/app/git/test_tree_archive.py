"""Trees as a repository asks for them: parts, submodules, large files."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import tarfile
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from app.git.limits import GitLimits, TreeLimits
from app.git.mirror import Mirror
from app.git.process import GitDenied, GitError, GitMissing
from app.git.tree_archive import TreeOptions, TreeSource, pointer, submodule_url, write_tree

LARGE = bytes(range(256)) * 40
OID = hashlib.sha256(LARGE).hexdigest()
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{OID}\nsize {len(LARGE)}\n"


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always")
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def repository(folder: Path, files: Mapping[str, str]) -> str:
    """A repository with one commit; gives its id."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "one")
    return git(folder, "rev-parse", "HEAD")


def link(folder: Path, path: str, commit: str, url: str) -> str:
    """Add a submodule's link as a commit; gives the commit."""
    git(folder, "config", "-f", ".gitmodules", f"submodule.{path}.path", path)
    git(folder, "config", "-f", ".gitmodules", f"submodule.{path}.url", url)
    git(folder, "add", ".gitmodules")
    git(folder, "update-index", "--add", "--cacheinfo", f"160000,{commit},{path}")
    git(folder, "commit", "-qm", "link")
    return git(folder, "rev-parse", "HEAD")


class Server(ThreadingHTTPServer):
    """Gives large files as an LFS server does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = LARGE
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/o/r.git"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        assert self.path == "/o/r.git/info/lfs/objects/batch"
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(self.headers.get("Authorization", ""))
        expected = base64.b64encode(b"x-access-token:t0ken").decode()
        if self.headers.get("Authorization") != f"Basic {expected}":
            return self._answer(401, b"{}")
        root = self.server.url.removesuffix("/o/r.git")
        objects = []
        for entry in body["objects"]:
            if entry["oid"] == OID:
                entry["actions"] = {"download": {"href": f"{root}/media", "header": {"X-Key": "k"}}}
            objects.append(entry)
        return self._answer(200, json.dumps({"objects": objects}).encode())

    def do_GET(self) -> None:
        assert self.headers["X-Key"] == "k" and "Authorization" not in self.headers
        self._answer(200, self.server.content)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def lfs() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def source(
    tmp_path: Path, url: str = "https://git.test/o/r.git", token: str = "t0ken"
) -> TreeSource:
    mirrors = tmp_path / "mirrors"
    mirrors.mkdir(exist_ok=True)

    def other(address: str) -> Mirror:
        name = address.rsplit("/", 1)[1].removesuffix(".git")
        return Mirror(mirrors / f"{name}.git", str(tmp_path / name))

    own = other("/r")
    own.fetch()
    return TreeSource(own, url, other, token)


def contents(tar: Path) -> dict[str, bytes]:
    with tarfile.open(tar) as archive:
        files = (m for m in archive if m.isreg())
        return {m.name: archive.extractfile(m).read() for m in files}  # type: ignore[union-attr]


def test_only_the_parts_asked_for_are_taken(tmp_path: Path) -> None:
    commit = repository(tmp_path / "r", {"a/x": "1", "b/y": "2", "*": "star", "top": "3"})
    out = tmp_path / "out.tar"
    write_tree(source(tmp_path), commit, out, TreeOptions(sparse=("a", "*")))
    assert contents(out) == {"a/x": b"1", "*": b"star"}
    with pytest.raises(GitMissing, match="never"):
        write_tree(source(tmp_path), commit, out, TreeOptions(sparse=("a", "never")))


def test_submodules_on_the_same_server_stand_in_their_folders(tmp_path: Path) -> None:
    deep = repository(tmp_path / "deep", {"d": "deep"})
    repository(tmp_path / "lib", {"code": "lib"})
    lib = link(tmp_path / "lib", "vendor/deep", deep, "https://git.test/o/deep.git")
    repository(tmp_path / "r", {"main": "m"})
    link(tmp_path / "r", "evil", lib, "ext::sh -c touch% /tmp/owned")
    link(tmp_path / "r", "away", lib, "https://elsewhere.test/o/lib.git")
    commit = link(tmp_path / "r", "third/lib", lib, "../lib.git")
    out = tmp_path / "out.tar"
    write_tree(source(tmp_path), commit, out, TreeOptions(submodules=True))
    found = contents(out)
    assert found.pop(".gitmodules")
    assert found == {
        "main": b"m",
        "third/lib/code": b"lib",
        "third/lib/vendor/deep/d": b"deep",
        "third/lib/.gitmodules": found["third/lib/.gitmodules"],
    }
    write_tree(source(tmp_path), commit, out, TreeOptions())
    assert set(contents(out)) == {"main", ".gitmodules"}


def test_large_files_stand_in_place_of_their_pointers(tmp_path: Path, lfs: Server) -> None:
    commit = repository(tmp_path / "r", {"data/big.bin": POINTER, "notes": "small"})
    out = tmp_path / "out.tar"
    write_tree(source(tmp_path, lfs.url), commit, out, TreeOptions(lfs=True))
    assert contents(out) == {"data/big.bin": LARGE, "notes": b"small"}
    write_tree(source(tmp_path, lfs.url), commit, out, TreeOptions(sparse=("data",)))
    assert contents(out) == {"data/big.bin": POINTER.encode()}
    assert len(lfs.asked) == 1


def test_a_large_file_counts_as_often_as_it_stands_in_the_tree(tmp_path: Path, lfs: Server) -> None:
    commit = repository(tmp_path / "r", {f"copy{n}": POINTER for n in range(4)})
    out = tmp_path / "out.tar"
    bounded = source(tmp_path, lfs.url)
    bounded.mirror.limits = GitLimits(tree=TreeLimits(100, 3 * len(LARGE)))
    with pytest.raises(GitError, match="larger than"):
        write_tree(bounded, commit, out, TreeOptions(lfs=True))
    assert not lfs.asked and not out.exists()
    bounded.mirror.limits = GitLimits(tree=TreeLimits(100, 5 * len(LARGE)))
    write_tree(bounded, commit, out, TreeOptions(lfs=True))
    assert set(contents(out).values()) == {LARGE}


def test_faults_of_large_files_are_told(tmp_path: Path, lfs: Server) -> None:
    commit = repository(tmp_path / "r", {"big": POINTER})
    out = tmp_path / "out.tar"
    for content in (LARGE[:-1], LARGE + b"x", b"y" + LARGE[1:]):
        lfs.content = content
        with pytest.raises(GitError, match="different content"):
            write_tree(source(tmp_path, lfs.url), commit, out, TreeOptions(lfs=True))
    with pytest.raises(GitDenied):
        write_tree(source(tmp_path, lfs.url, token="wrong"), commit, out, TreeOptions(lfs=True))
    assert not out.exists()
    missing = repository(tmp_path / "q", {"big": POINTER.replace(OID, "0" * 64)})
    git(tmp_path / "r", "fetch", "-q", str(tmp_path / "q"), "main:other")
    with pytest.raises(GitError, match="has no large file"):
        write_tree(source(tmp_path, lfs.url), missing, out, TreeOptions(lfs=True))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("../lib.git", "https://git.test/o/lib.git"),
        ("../../p/lib", "https://git.test/p/lib"),
        ("https://git.test/p/lib", "https://git.test/p/lib"),
        ("git@git.test:p/lib.git", "https://git.test/p/lib.git"),
        ("git@evil.test:p/lib.git", ""),
        ("https://git.test.evil.test/p", ""),
        ("https://user@git.test/p", ""),
        ("http://git.test/p/lib", ""),
        ("ext::sh -c id", ""),
        ("file:///etc", ""),
        ("/etc", ""),
        ("-u./x", ""),
    ],
)
def test_submodules_of_other_servers_are_left_out(url: str, expected: str) -> None:
    assert submodule_url("https://git.test/o/r.git", url) == expected


def test_only_a_whole_pointer_is_one() -> None:
    assert pointer(POINTER.encode()) == (OID, len(LARGE))
    assert pointer(POINTER.encode() + b"more\n") is None
    assert pointer(b"version https://git-lfs.github.com/spec/v1\n") is None
