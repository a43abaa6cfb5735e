"""The documents in which maintainers say how to work on their project, read from a mirror.

`AGENTS.md` is https://agents.md; the others are what coding agents read by their own documentation
(docs.anthropic.com/claude-code, docs.github.com/copilot, geminicli.com/docs), and CONTRIBUTING is
GitHub's place for guidelines. Read at one commit, which the caller takes from the default branch:
nobody but who may write there can change them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from agent.task import RuleDocument
from app.git.mirror import Mirror
from app.git.process import run_git

AT_ROOT = (
    *("AGENTS.md", "AGENT.md", "CLAUDE.md", ".claude/CLAUDE.md", "GEMINI.md"),
    ".github/copilot-instructions.md",
)
FOR_PEOPLE = (
    *("CONTRIBUTING.md", ".github/CONTRIBUTING.md", "docs/CONTRIBUTING.md"),
    *("CONTRIBUTING.rst", "CONTRIBUTING.txt", "docs/CONTRIBUTING.rst", "CONTRIBUTING"),
)
"""Written for people, and long: only their commands are taken."""
NESTED = ("AGENTS.md", "CLAUDE.md")
LONGEST = 16_000
"""Most characters of one document."""
MOST_NESTED = 30
MOST_BYTES = 1_000_000
"""A larger file is no such document."""
_MOST_COMMANDS = 60
_FENCE = re.compile(r"^[ \t]{0,12}(```|~~~)")
_COMMAND = re.compile(
    r"^\s*(?:[$>%]\s+)?(?:[A-Z_]+=\S+\s+)?(?:make|just|task|npm|npx|pnpm|yarn|bun|python[\d.]*|pip|uv|uvx|poetry"
    r"|pdm|hatch|tox|nox|pytest|pre-commit|prek|ruff|black|isort|flake8|mypy|pylint|go|gofmt"
    r"|golangci-lint|cargo|rustfmt|mvn|\./mvnw|gradle|\./gradlew|rake|bundle|rubocop|composer"
    r"|dotnet|mix|deno|eslint|prettier|towncrier|changie|changeset|cz|scriv)\b.{0,200}$"
)


def read_documents(mirror: Mirror, commit: str) -> tuple[RuleDocument, ...]:
    """The documents of a commit, the repository's own first. Raises `GitError`."""
    found, seen = [], set()
    for path, blob in _places(mirror, commit):
        text = _text(mirror, blob)
        people = path in FOR_PEOPLE
        text = commands_of(text) if people else text.strip()
        if not text or text in seen:
            continue
        seen.add(text)
        found.append(
            RuleDocument(
                path=path,
                text=text[:LONGEST],
                is_cut=len(text) > LONGEST,
                commands_only=people,
            )
        )
    return tuple(found)


def chosen(paths: Sequence[str]) -> list[str]:
    """Those of a tree's paths that are such documents, the repository's own first."""
    by_lower = {path.casefold(): path for path in reversed(paths)}
    own = [by_lower[name.casefold()] for name in AT_ROOT if name.casefold() in by_lower]
    people = [by_lower[name.casefold()] for name in FOR_PEOPLE if name.casefold() in by_lower]
    nested = sorted(
        (p for p in paths if "/" in p and p.rpartition("/")[2] in NESTED and p not in own),
        key=lambda path: (path.count("/"), path),
    )
    nested = [path for path in nested if not _is_of_others(path)]
    return [*own, *people[:1], *nested[:MOST_NESTED]]


def commands_of(text: str) -> str:
    """The commands that a text for people names: in code blocks, and alone between backquotes."""
    found: dict[str, None] = {}
    fenced = False
    for line in text.split("\n"):
        if _FENCE.match(line):
            fenced = not fenced
        elif fenced or line.startswith(("    ", "\t")):
            if _COMMAND.match(line):
                found[line.strip()] = None
        else:
            for code in re.findall(r"(?<!`)`([^`\n]{2,200})`(?!`)", line):
                if _COMMAND.match(code) and " " in code.strip():
                    found[code.strip()] = None
        if len(found) >= _MOST_COMMANDS:
            break
    return "\n".join(f"    {line}" for line in found)


def _is_of_others(path: str) -> bool:
    """Whether a file lies among another project's, or is an example."""
    folders = set(path.split("/")[:-1])
    others = {"node_modules", "vendor", "third_party", "testdata", "fixtures", "templates"}
    return bool(folders & (others | {"examples", "example", "__fixtures__", "snapshots"}))


def _places(mirror: Mirror, commit: str) -> list[tuple[str, str]]:
    """The documents' paths, each with git's id of its content."""
    listed = run_git(
        mirror.git_dir,
        *("ls-tree", "-r", "-l", "-z", "--full-tree", commit),
        timeout_s=mirror.limits.command_s,
        most_memory=mirror.limits.memory_bytes,
    )
    there: dict[str, str] = {}
    for entry in listed.split(b"\0"):
        facts, _, name = entry.partition(b"\t")
        fields = facts.split()
        # Regular files: what a link leads to is no word of the maintainers at this place.
        if len(fields) == 4 and fields[0].startswith(b"100") and int(fields[3]) <= MOST_BYTES:
            there[name.decode("utf-8", "replace")] = fields[2].decode()
    return [(path, there[path]) for path in chosen(list(there))]


def _text(mirror: Mirror, blob: str) -> str:
    content = run_git(mirror.git_dir, "cat-file", "blob", blob, timeout_s=mirror.limits.command_s)
    return content.decode("utf-8", "replace").replace("\r\n", "\n")
