"""The models of GitHub's objects in each version, as `githubkit` made them of GitHub's description.

`python -m tests.doubles.github.description.schemas` fetches both packages from the Python index,
pinned by hash, into the cache. They are read as text and never imported.
"""

import ast
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tests.doubles.github.description.fetch import cache_folder
from tests.doubles.github.description.versions import NEWEST, OLDEST

RELEASE = "26.10.21"
SHA256 = {
    OLDEST: "ab758ba40038978d473ee5d24ecc46b19cf5ad60f248aebf9e8c6e8550671342",
    NEWEST: "3faed30ed851fcc0b22c66c522c736a9dfb9add70ccdf685ee1d0787817bab4b",
}
Models = dict[str, frozenset[str]]


def kept(version: str) -> Path:
    """Where the package of that version is, or would be."""
    name = f"githubkit_schemas_{version.replace('-', '_')}-{RELEASE}-py3-none-any.whl"
    return cache_folder() / "schemas" / name


def fetch() -> None:
    """Fetch what is not cached. Raises `subprocess.CalledProcessError` or `ValueError`."""
    for version, wanted in SHA256.items():
        path = kept(version)
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as work:
            package = f"githubkit-schemas-{version}=={RELEASE}"
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest"]
            subprocess.run([*command, work, package], check=True, timeout=600)
            made = Path(work) / path.name
            found = hashlib.sha256(made.read_bytes()).hexdigest()
            if found != wanted:
                raise ValueError(f"{package} is not the pinned one: sha256 {found}")
            made.replace(path)


def models(version: str) -> Models:
    """Every model's name with the names of its fields as they are in JSON."""
    found: Models = {}
    with zipfile.ZipFile(kept(version)) as wheel:
        for name in wheel.namelist():
            if "/models/" in name and name.endswith(".py"):
                for node in ast.parse(wheel.read(name)).body:
                    if isinstance(node, ast.ClassDef):
                        found[node.name] = frozenset(_fields(node))
    return found


def _fields(model: ast.ClassDef) -> list[str]:
    names = []
    for line in model.body:
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            name = line.target.id
            if isinstance(line.value, ast.Call):
                for word in line.value.keywords:
                    if word.arg == "alias" and isinstance(word.value, ast.Constant):
                        name = str(word.value.value)
            names.append(name)
    return names


if __name__ == "__main__":
    fetch()
