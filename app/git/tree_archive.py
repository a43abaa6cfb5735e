"""A commit's tree as a tar file in the shape that a repository asks for.

By default it is what git keeps. With `lfs` the contents of large files are in place of their
pointers (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md and api/batch.md); with
`submodules` the trees of submodules on the same server are in their folders; with `sparse` only
some folders are taken. All of it is read on the host from mirrors and the server; no program of
the repository runs, and neither a token nor an address goes into the archive. A patch that changes
such a large file or a submodule's file does not apply to the repository, and is refused there.
"""

from __future__ import annotations

import base64
import hashlib
import re
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx

from app.git.limits import TreeCount, TreeLimits
from app.git.mirror import Mirror, Submodule
from app.git.process import GitAway, GitDenied, GitError

_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-[^\n]*\n)*"
    rb"oid sha256:([0-9a-f]{64})\nsize (\d{1,15})\n\Z"
)
_MOST_POINTER = 1024
_BATCH = 100
_DEPTH = 3
MOST_SUBMODULES = 200
"""With those of submodules. Each is fetched, also one that was fetched for another folder."""
_MEDIA = "application/vnd.git-lfs+json"

Objects = Mapping[str, int]
"""Sizes in bytes by SHA-256."""


@dataclass(frozen=True, slots=True)
class TreeOptions:
    """What a repository asks for of its tree."""

    sparse: tuple[str, ...] = ()
    """Folders and files to take; empty: all."""
    lfs: bool = False
    submodules: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether it is the tree as git keeps it."""
        return self == TreeOptions()


@dataclass(frozen=True, slots=True)
class TreeSource:
    """Where a tree comes from."""

    mirror: Mirror
    url: str
    """The repository's address for git."""
    other: Callable[[str], Mirror]
    """The mirror of another repository by its address."""
    token: str = ""
    ca_file: str = ""


def write_tree(source: TreeSource, commit: str, out: Path, shape: TreeOptions) -> None:
    """Write the tree; blocks.

    Raises `GitError` when a part of it cannot be obtained, or when it is beyond the mirror's
    limits: the whole tree, with every submodule and large file as often as it stands there.
    """
    limits = source.mirror.limits.tree
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".tree-") as folder:
        plain = Path(folder) / "0.tar"
        left = limits.less(source.mirror.tree_tar(commit, plain, shape.sparse, limits))
        parts = [("", plain)]
        if shape.submodules:
            modules = _Submodules(source, shape, Path(folder), left)
            modules.add(source, commit, "", _DEPTH)
            parts += modules.parts
            left = modules.left
        objects: Path | None = None
        if shape.lfs:
            pointers = _pointers([path for _, path in parts])
            left.less(TreeCount(0, sum(size for _, size in pointers)))
            objects = Path(folder) / "objects"
            objects.mkdir()
            _fetch(source, dict(pointers), objects)
        with tarfile.open(out, "w", format=tarfile.PAX_FORMAT) as whole:
            for prefix, part in parts:
                _add(whole, prefix, part, objects)


def pointer(data: bytes) -> tuple[str, int] | None:
    """The object that a pointer file stands for; None: it is none."""
    found = _POINTER.match(data)
    return (found[1].decode(), int(found[2])) if found else None


def submodule_url(own: str, url: str) -> str:
    """The http(s) address of a submodule on the same server; empty: it is none.

    The token is sent there, so no other server counts.
    """
    here = urlsplit(own)
    if url.startswith(("./", "../")):
        url = urljoin(own.rstrip("/") + "/", url)
    shell = re.match(r"(?:ssh://)?git@([\w.-]+)[:/](?!/)(.+)\Z", url)
    if shell:
        url = f"{here.scheme}://{shell[1]}/{shell[2]}"
        here_host = here.hostname
        return url if shell[1].lower() == here_host else ""
    parts = urlsplit(url)
    same = (parts.scheme, parts.netloc.lower()) == (here.scheme, here.netloc.lower())
    return url if same and parts.scheme in ("http", "https") else ""


class _Submodules:
    """The trees of submodules, collected within what is left of the whole tree's limits."""

    def __init__(
        self, source: TreeSource, shape: TreeOptions, folder: Path, left: TreeLimits
    ) -> None:
        self._source = source
        self._shape = shape
        self._folder = folder
        self.left = left
        self.parts: list[tuple[str, Path]] = []

    def add(self, source: TreeSource, commit: str, above: str, depth: int) -> None:
        """Add those of a commit, and theirs. Raises `GitError`."""
        for sub in source.mirror.submodules(commit) if depth else ():
            url = submodule_url(source.url, sub.url)
            if not url or not _within(above + sub.path, self._shape.sparse):
                continue
            if len(self.parts) >= MOST_SUBMODULES:
                raise GitError(f"The tree has more than {MOST_SUBMODULES} submodules.")
            mirror = self._source.other(url)
            # Asked of the server every time, with this run's token: that the mirror holds the
            # commit says only that somebody was given it. What is on no branch now is nobody's to
            # have.
            mirror.fetch(self._source.token)
            if not mirror.is_on_any_branch(sub.commit):
                raise GitError(
                    f"The submodule {sub.path} has no commit {sub.commit} on any branch."
                )
            path = self._folder / f"{len(self.parts) + 1}.tar"
            self.left = self.left.less(mirror.tree_tar(sub.commit, path, (), self.left))
            prefix = f"{above}{sub.path}/"
            self.parts.append((prefix, path))
            self.add(replace(source, mirror=mirror, url=url), sub.commit, prefix, depth - 1)


def _within(path: str, sparse: tuple[str, ...]) -> bool:
    return not sparse or any(f"{path}/".startswith(f"{s.rstrip('/')}/") for s in sparse)


def _pointers(parts: list[Path]) -> list[tuple[str, int]]:
    """Object and size of each pointer file, as often as it stands in the tree."""
    found: list[tuple[str, int]] = []
    for part in parts:
        with tarfile.open(part, "r:") as archive:
            for member in archive:
                if member.isreg() and member.size <= _MOST_POINTER:
                    file = archive.extractfile(member)
                    if file is not None and (known := pointer(file.read())):
                        found.append(known)
    return found


def _add(whole: tarfile.TarFile, prefix: str, part: Path, objects: Path | None) -> None:
    with tarfile.open(part, "r:") as archive:
        for member in archive:
            member.name = prefix + member.name
            member.pax_headers = {}
            file = archive.extractfile(member) if member.isreg() else None
            if file is not None and objects is not None and member.size <= _MOST_POINTER:
                known = pointer(file.read())
                file.seek(0)
                # Two pointers may give one object different sizes; one of them is wrong.
                if known and (objects / known[0]).stat().st_size == known[1]:
                    member.size = known[1]
                    with (objects / known[0]).open("rb") as content:
                        whole.addfile(member, content)
                    continue
            whole.addfile(member, file)


def _fetch(source: TreeSource, wanted: Objects, folder: Path) -> None:
    if not wanted:
        return
    deadline = time.monotonic() + source.mirror.limits.fetch_s
    with httpx.Client(verify=source.ca_file or True, timeout=120, trust_env=True) as client:
        try:
            for batch in _batches(wanted):
                for oid, link in _download_requests(client, source, batch).items():
                    _download(client, link, oid, wanted[oid], folder / oid, deadline)
        except httpx.HTTPStatusError as error:
            code = error.response.status_code
            lasting = code < 500 and code not in (408, 429)
            kind = GitError if lasting else GitAway
            raise kind(f"Large files cannot be fetched: the server answers {code}.") from None
        except httpx.HTTPError as error:
            raise GitAway(f"Large files cannot be fetched: {error}") from None


def _batches(wanted: Objects) -> Iterator[Objects]:
    names = list(wanted)
    for start in range(0, len(names), _BATCH):
        yield {name: wanted[name] for name in names[start : start + _BATCH]}


def _download_requests(
    client: httpx.Client, source: TreeSource, wanted: Objects
) -> dict[str, httpx.Request]:
    """Where each object is available, by the server's batch answer."""
    headers = {"Accept": _MEDIA, "Content-Type": _MEDIA}
    if source.token:
        basic = base64.b64encode(f"x-access-token:{source.token}".encode()).decode()
        headers["Authorization"] = f"Basic {basic}"
    address = source.url.removesuffix("/").removesuffix(".git") + ".git/info/lfs/objects/batch"
    body = {
        "operation": "download",
        "transfers": ["basic"],
        "objects": [{"oid": oid, "size": size} for oid, size in wanted.items()],
    }
    answer = client.post(address, json=body, headers=headers)
    if answer.status_code in (401, 403):
        raise GitDenied("The server refuses access to large files (LFS).")
    answer.raise_for_status()
    found: dict[str, httpx.Request] = {}
    for entry in answer.json().get("objects", []):
        action = entry.get("actions", {}).get("download")
        if action is not None and entry.get("oid") in wanted:
            found[entry["oid"]] = client.build_request(
                "GET", action["href"], headers=action.get("header") or {}
            )
    if missing := [oid for oid in wanted if oid not in found]:
        raise GitError(f"The server has no large file (LFS) {missing[0]}.")
    return found


def _download(
    client: httpx.Client,
    request: httpx.Request,
    oid: str,
    size: int,
    path: Path,
    deadline: float,
) -> None:
    digest, taken = hashlib.sha256(), 0
    answer = client.send(request, stream=True)
    try:
        answer.raise_for_status()
        with path.open("wb") as file:
            for piece in answer.iter_bytes():
                taken += len(piece)
                if taken > size:
                    break
                if time.monotonic() > deadline:
                    raise GitAway("The large files (LFS) took too long to arrive.")
                digest.update(piece)
                file.write(piece)
    finally:
        answer.close()
    if taken != size or digest.hexdigest() != oid:
        raise GitError(f"The large file (LFS) {oid} arrived with different content.")


__all__ = ["Submodule", "TreeOptions", "TreeSource", "pointer", "submodule_url", "write_tree"]
