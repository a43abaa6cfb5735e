"""By what the kept results of one base are told from another's."""

from __future__ import annotations

from pathlib import Path

from app.sandboxes.kept_base import kept_base


async def test_nothing_is_kept_where_the_environment_is_not_to_be_relied_on(
    tmp_path: Path,
) -> None:
    tree = tmp_path / "tree.tar"
    tree.write_bytes(b"one")
    assert await kept_base(tmp_path, "acme/shop", tree, "") is None


async def test_a_tree_is_known_by_its_content_and_not_by_its_path(tmp_path: Path) -> None:
    trees = [tmp_path / name for name in ("first.tar", "same.tar", "other.tar")]
    for tree, content in zip(trees, (b"one", b"one", b"two"), strict=True):
        tree.write_bytes(content)
    first, same, other = [
        await kept_base(tmp_path, "acme/shop", tree, "sha256:1") for tree in trees
    ]
    assert first is not None
    assert first == same
    assert other is not None
    assert first.commit != other.commit
