"""When two trees may share an environment."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path

from app.repo_config.schema import PATH
from sandbox.environment.choose import (
    EnvironmentSettings,
    candidates,
    files_to_read,
    mentioned_files,
)
from sandbox.environment.dockerfile import NotUsable
from sandbox.environment.tree import read_tree


def manifests_of(tree: Path, repository: str, about: str) -> str:
    """What decides a tree's environment: its manifests' texts, and which candidates they give.

    Blocks. Trees with the same answer may share an image. `about`: what an issue says.
    """
    read = read_tree(tree, partial(files_to_read, settings=EnvironmentSettings()))
    own = read_tree(tree, lambda _: (PATH,)).texts.get(PATH, "")
    try:
        found = candidates(
            read.files, read.texts, EnvironmentSettings(), mentioned_files(about, read.files)
        )
    except NotUsable as error:
        return f"{repository}\0{own}\0{error}"
    whole = json.dumps([repository, own, sorted(read.texts.items()), [repr(e) for e in found]])
    return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()
