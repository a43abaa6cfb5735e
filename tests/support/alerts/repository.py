"""A repository with releases, in which the alerts of `payloads` happened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.git.mirror import Mirror
from tests.support.github.app import git

CART = "def total(xs):\n    t = 0\n    for x in xs:\n        t += x\n    return t\n"
API = "from shop.cart import total\ndef order(xs):\n    return total(xs)\n"
JAVA = "package com.acme;\n\nclass Shop {\n  int total() {\n    return items.size();\n  }\n}\n"
SCRIPT = "export function pay(cart) {\n  return cart.items.length;\n}\n"
GO = "package main\n\nfunc total(xs []int) int {\n\treturn xs[0]\n}\n"


@dataclass(frozen=True)
class Released:
    """A bare mirror, and the commits of its releases by their tags."""

    mirror: Mirror
    commits: dict[str, str]
    tip: str


def released(folder: Path) -> Released:
    """Version 1.4.1, 1.4.2, which brought `t += x` and a helper, and unreleased work."""
    work = folder / "work"
    work.mkdir()
    git(folder, "init", "-q", "-b", "main", str(work))
    commits: dict[str, str] = {}
    at = 0

    def commit(subject: str, files: dict[str, str], tag: str = "") -> None:
        nonlocal at
        for name, text in files.items():
            path = work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        git(work, "add", "-A")
        at += 1
        git(work, "-c", f"user.name=Dev{at}", "commit", "-q", "-m", subject)
        commits[tag or subject] = git(work, "rev-parse", "HEAD")
        if tag:
            git(work, "tag", tag)

    commit("Begin", {"shop/cart.py": CART.replace("t += x", "t = t + x"), "shop/api.py": API})
    commit(
        "All parts",
        {
            "web/src/checkout.ts": SCRIPT,
            "server/src/main/java/com/acme/Shop.java": JAVA,
            "cmd/total/main.go": GO,
            "other/util.py": "x = 1\n",
            "tests/util.py": "x = 1\n",
        },
        "v1.4.1",
    )
    commit("Add in place", {"shop/cart.py": CART})
    commit("Say so", {"README.md": "shop\n"}, "v1.4.2")
    commit("Later", {"shop/cart.py": "# Sums.\n\n" + CART})
    bare = folder / "mirror.git"
    git(folder, "clone", "-q", "--mirror", str(work), str(bare))
    return Released(Mirror(bare, str(work)), commits, commits["Later"])
