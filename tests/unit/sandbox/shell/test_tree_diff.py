"""Finding what is no text in a diff, against git itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sandbox.shell.tree_diff import attributes_for, sections_not_text


def test_only_sections_that_are_not_utf8_are_named() -> None:
    patch = (
        b"diff --git a/a b/a\n+ok \xc3\xa9\ndiff --git a/b b/b\n+bad \xe9\n"
        b"+diff --git a/x b/x\ndiff --git a/c b/c\n+fine\n"
    )
    assert sections_not_text(patch, b"a\0b\0c\0") == [b"b"]


@pytest.mark.parametrize(
    "name",
    ["plain", "with space", 'q"uote', "back\\slash", "st*r", "que?", "[set]", "new\nline",
     "tab\t", "!bang", "#hash", "ünï", "\udcff", "deep/er/file", " lead", "trail "],
)  # fmt: skip
def test_an_attribute_line_names_exactly_one_file(tmp_path: Path, name: str) -> None:
    raw = name.encode("utf-8", "surrogateescape")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".git/info").mkdir(exist_ok=True)
    (tmp_path / ".git/info/attributes").write_bytes(attributes_for([raw]))
    others = [b"other", b"sub/" + raw, b"stXr", b"quex", b"s", raw + b"x"]
    answer = subprocess.run(
        ["git", "check-attr", "-z", "--stdin", "diff"],
        cwd=tmp_path, input=b"\0".join([raw, *others]) + b"\0", capture_output=True, check=True,
    ).stdout.split(b"\0")  # fmt: skip
    assert answer[0::3][0] == raw
    assert answer[2::3] == [b"unset"] + [b"unspecified"] * len(others)
