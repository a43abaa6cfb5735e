"""The maintainers' documents, read from a mirror at a commit of the default branch."""

from __future__ import annotations

from pathlib import Path

from app.conventions.conventions import read_conventions
from app.conventions.documents import LONGEST, MOST_NESTED, chosen, commands_of, read_documents
from app.git.mirror import Mirror
from tests.support.github.app import git


def repository(folder: Path, files: dict[str, str], links: dict[str, str] | None = None) -> Mirror:
    repo = folder / "repo.git"
    git(folder, "init", "-q", "--bare", "-b", "main", str(repo))
    stream = "commit refs/heads/main\ncommitter a <a@b> 1700000000 +0000\ndata 1\nx\n"
    for name, text in files.items():
        stream += f"M 100644 inline {name}\ndata {len(text.encode())}\n{text}\n"
    for name, to in (links or {}).items():
        stream += f"M 120000 inline {name}\ndata {len(to)}\n{to}\n"
    git(repo, "fast-import", "--quiet", stdin=stream)
    return Mirror(repo, "")


def test_the_repositorys_own_come_first_and_copies_and_links_count_once(tmp_path: Path) -> None:
    contributing = (
        "# How to\n\nTalk to us first.\n\n```\n$ make lint\n$ rm -rf x\n```\nRun `pytest -q`.\n"
    )
    mirror = repository(
        tmp_path,
        {
            "agents.md": "Use tabs.\n",
            "CLAUDE.md": "Use tabs.\n",
            ".github/copilot-instructions.md": "Be short.",
            "CONTRIBUTING.md": contributing,
            "web/AGENTS.md": "a" * (LONGEST + 5),
            "node_modules/x/AGENTS.md": "No.",
            "src/huge/AGENTS.md": "b" * 1_000_001,
        },
        links={"GEMINI.md": "agents.md"},
    )
    found = read_documents(mirror, "main")
    assert [(d.path, d.commands_only, d.is_cut) for d in found] == [
        ("agents.md", False, False),
        (".github/copilot-instructions.md", False, False),
        ("CONTRIBUTING.md", True, False),
        ("web/AGENTS.md", False, True),
    ]
    assert found[2].text == "    $ make lint\n    pytest -q"
    assert len(found[3].text) == LONGEST and found[3].folder == "web" and found[1].folder == ""
    read = read_conventions(mirror, "main", ("web/a.ts",))
    assert read.documents == found and read.habits == () and read.rules.near == ("web/a.ts",)


def test_so_many_nested_ones_at_most_those_near_the_top_first() -> None:
    paths = [f"a/{'b/' * depth}AGENTS.md" for depth in range(MOST_NESTED + 5)]
    assert chosen([*reversed(paths), "AGENTS.md"]) == ["AGENTS.md", *paths[:MOST_NESTED]]


def test_commands_are_found_in_text_without_end() -> None:
    assert commands_of("`make lint` " * 100_000) == "    make lint"
    assert commands_of("`" * 200_000) == ""
