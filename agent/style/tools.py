"""The programs that look at style, how each is asked about single files, and how it answers.

Only asked, never told to change files. Exit statuses and forms of output are those of the programs'
own documentation: docs.astral.sh/ruff, black.readthedocs.io, pycqa.github.io/isort,
flake8.pycqa.org, pylint.readthedocs.io, eslint.org/docs/latest/use/command-line-interface,
prettier.io/docs/cli, biomejs.dev/reference/cli, standardjs.com, pkg.go.dev/cmd/gofmt,
github.com/rust-lang/rustfmt, doc.rust-lang.org/clippy, docs.rubocop.org.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Literal

from agent.model import Record

_PYTHON = (".py", ".pyi")
_JAVASCRIPT = (".js", ".cjs", ".mjs", ".jsx", ".ts", ".tsx", ".mts", ".cts", ".vue", ".svelte")
_PRETTY = (*_JAVASCRIPT, ".css", ".scss", ".less", ".json", ".md", ".yml", ".yaml", ".html")

Language = Literal["python", "node", "other"]


class StyleTool(Record):
    """One program."""

    name: str
    """As people call it: `ruff check`."""
    language: Language
    """Decides where it is looked for: as a Python module too, in `node_modules` too."""
    words: tuple[str, ...]
    """The program and what it is told, without files."""
    suffixes: tuple[str, ...]
    complains: tuple[int, ...] = (0, 1)
    """Exit statuses with which it has looked at the files."""
    takes_files: bool = True
    """False: it looks at the whole project in its folder."""
    root: tuple[str, ...] = ()
    """Files that make the folder in which it is run."""


TOOLS = {
    tool.name: tool
    for tool in (
        StyleTool(
            name="ruff check",
            language="python",
            words=("ruff", "check", "--no-cache", "--no-fix", "--output-format=concise"),
            suffixes=_PYTHON,
        ),
        StyleTool(
            name="ruff format",
            language="python",
            words=("ruff", "format", "--no-cache", "--check"),
            suffixes=_PYTHON,
        ),
        StyleTool(name="black", language="python", words=("black", "--check"), suffixes=_PYTHON),
        StyleTool(
            name="isort", language="python", words=("isort", "--check-only"), suffixes=_PYTHON
        ),
        StyleTool(name="flake8", language="python", words=("flake8",), suffixes=_PYTHON),
        StyleTool(
            name="pylint",
            language="python",
            words=("pylint", "--score=n", "--reports=n"),
            suffixes=_PYTHON,
            # A sum of bits: 32 alone means that it was asked wrongly.
            complains=tuple(range(32)),
        ),
        StyleTool(
            name="eslint",
            language="node",
            words=("eslint", "--format", "json"),
            suffixes=_JAVASCRIPT,
            root=(
                *(f"eslint.config.{end}" for end in ("js", "mjs", "cjs", "ts", "mts", "cts")),
                "package.json",
            ),
        ),
        StyleTool(
            name="prettier",
            language="node",
            words=("prettier", "--check"),
            suffixes=_PRETTY,
            root=("package.json",),
        ),
        StyleTool(
            name="biome",
            language="node",
            words=("biome", "check"),
            suffixes=(*_JAVASCRIPT, ".json", ".css"),
            root=("biome.json", "biome.jsonc"),
        ),
        StyleTool(
            name="standard",
            language="node",
            words=("standard",),
            suffixes=_JAVASCRIPT,
            root=("package.json",),
        ),
        StyleTool(
            name="gofmt", language="other", words=("gofmt", "-l"), suffixes=(".go",), complains=(0,)
        ),
        StyleTool(
            name="go vet",
            language="other",
            words=("go", "vet", "./..."),
            suffixes=(".go",),
            takes_files=False,
            root=("go.mod",),
        ),
        StyleTool(
            name="golangci-lint",
            language="other",
            words=("golangci-lint", "run"),
            suffixes=(".go",),
            takes_files=False,
            root=("go.mod",),
        ),
        StyleTool(
            name="cargo fmt",
            language="other",
            words=("cargo", "fmt", "--", "--check"),
            suffixes=(".rs",),
            takes_files=False,
            root=("Cargo.toml",),
        ),
        StyleTool(
            name="cargo clippy",
            language="other",
            words=("cargo", "clippy", "--offline", "--quiet", "--message-format=short"),
            suffixes=(".rs",),
            complains=(0, 101),
            takes_files=False,
            root=("Cargo.toml",),
        ),
        StyleTool(
            name="rubocop",
            language="other",
            words=("rubocop", "--format", "emacs", "--force-exclusion"),
            suffixes=(".rb",),
            root=(".rubocop.yml",),
        ),
    )
}
"""By name."""


class StyleCommand(Record):
    """What the gate runs on both sides of a patch."""

    name: str
    """The tool's, or the whole command for one that is not known."""
    source: str
    """Where it was found: `AGENTS.md`, `pyproject.toml [tool.ruff]`, …"""
    folder: str = "."
    """Where it is run."""
    files: tuple[str, ...] = ()
    """What it looks at; its complaints about other files are not counted."""

    @property
    def tool(self) -> StyleTool | None:
        """The known program; None: a command of the project itself."""
        return TOOLS.get(self.name)

    @property
    def shown(self) -> str:
        """The command as a person would type it, in the repository's folder."""
        tool = self.tool
        words = shlex.join(tool.words) if tool is not None else self.name
        if tool is not None and tool.takes_files:
            words = f"{words} {shlex.join(self._given(self.files))}"
        return words if self.folder == "." else f"cd {shlex.quote(self.folder)} && {words}"

    def line(self, files: Sequence[str]) -> str:
        """The line of shell that asks about these of its files, from the repository's folder.

        It ends with status 127 where the program is not installed.
        """
        tool, place = self.tool, f"cd {shlex.quote(f'./{self.folder}')}"
        if tool is None:
            return f"({place} && {self.name})"
        rest = shlex.join(tool.words[1:])
        given = f" {shlex.join(self._given(files))}" if tool.takes_files else ""
        program = shlex.quote(tool.words[0])
        tries = [f"if command -v {program} >/dev/null 2>&1; then {program} {rest}{given}"]
        if tool.language == "python":
            module = f"python3 -m {program}"
            tries.append(f"elif {module} --version >/dev/null 2>&1; then {module} {rest}{given}")
        if tool.language == "node":
            for up in range(self.folder.count("/") + (self.folder != ".") + 1):
                own = shlex.quote(f"{'../' * up or './'}node_modules/.bin/{tool.words[0]}")
                tries.insert(up, f"{'elif' if up else 'if'} [ -x {own} ]; then {own} {rest}{given}")
            tries[-1] = f"el{tries[-1]}"
        return f"({place} && {'; '.join(tries)}; else exit 127; fi)"

    def _given(self, files: Sequence[str]) -> list[str]:
        prefix = "" if self.folder == "." else f"{self.folder}/"
        # A file's name may begin with a dash.
        return [f"./{path.removeprefix(prefix)}" for path in files]
