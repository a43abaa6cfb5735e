"""A registry of images on this machine's loopback, with which an engine speaks plain HTTP.

The part of https://distribution.github.io/distribution/spec/api/ that a pull needs.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


class Registry(ThreadingHTTPServer):
    """Gives the images that were put in it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.asked: list[str] = []

    @property
    def host(self) -> str:
        """Name for references."""
        return f"127.0.0.1:{self.server_address[1]}"

    def put(self, name: str, tag: str, files: Mapping[str, str], config: Mapping[str, Any]) -> str:
        """An image of one layer; gives its manifest's digest."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for path, text in files.items():
                info = tarfile.TarInfo(path)
                info.size = len(text.encode())
                archive.addfile(info, io.BytesIO(text.encode()))
        plain = packed.getvalue()
        described = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": dict(config),
                "rootfs": {"type": "layers", "diff_ids": [_digest(plain)]},
                "history": [{"created_by": "a test"}],
            }
        ).encode()
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": self._blob(_CONFIG, described),
                "layers": [self._blob(_LAYER, gzip.compress(plain, mtime=0))],
            }
        ).encode()
        for reference in (tag, _digest(manifest)):
            self.manifests[f"{name}/{reference}"] = manifest
        return _digest(manifest)

    def _blob(self, kind: str, data: bytes) -> dict[str, Any]:
        self.blobs[_digest(data)] = data
        return {"mediaType": kind, "size": len(data), "digest": _digest(data)}


class _Handler(BaseHTTPRequestHandler):
    server: Registry

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        name, _, last = self.path.removeprefix("/v2/").rpartition("/")
        if self.path == "/v2/":
            return self._answer("application/json", b"{}")
        if name.endswith("/manifests"):
            found = self.server.manifests.get(f"{name.removesuffix('/manifests')}/{last}")
            return self._answer(_MANIFEST, found)
        return self._answer("application/octet-stream", self.server.blobs.get(last))

    def _answer(self, kind: str, body: bytes | None) -> None:
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body or b"")))
        if body is not None and kind == _MANIFEST:
            self.send_header("Docker-Content-Digest", _digest(body))
        self.end_headers()
        if body and self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@contextmanager
def serving_registry() -> Iterator[Registry]:
    """A registry that answers until the end of the block."""
    server = Registry()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
