"""Patches as text, and what they may touch."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.gate.patch.parse import BadPatch, parse_patch, touched_paths, without_hunks
from agent.gate.rules.paths import change_refusals, file_path_refusal, size_refusals
from agent.task import GatePolicy, Issue
from agent.testing.paths import is_source, is_test
from agent.text.globs import matches
from tests.doubles.gate_case import ISSUE, patch

LONG = "".join(f"line {n}\n" for n in range(60))
TWO_HUNKS = patch(
    {"a.py": LONG.replace("line 5\n", "five\n").replace("line 50\n", "fifty\n"), "b.py": "new\n"},
    {"a.py": LONG},
)


def refused(text: str, policy: GatePolicy | None = None, issue: Issue = ISSUE) -> str:
    return " ".join(change_refusals(parse_patch(text), policy or GatePolicy(), issue))


def test_files_hunks_and_lines_are_read() -> None:
    first, second = parse_patch(TWO_HUNKS)
    assert (first.path, first.kind, len(first.hunks)) == ("a.py", "changed", 2)
    assert first.hunks[1].added == ((51, "fifty"),)
    assert first.hunks[1].removed == ((51, "line 50"),)
    assert (second.path, second.kind) == ("b.py", "added")


def test_hunks_can_be_left_out() -> None:
    first, second = parse_patch(TWO_HUNKS)
    left = without_hunks(TWO_HUNKS, [first.hunks[0]])
    assert [h.added for c in parse_patch(left) for h in c.hunks] == [
        ((51, "fifty"),),
        ((1, "new"),),
    ]
    only = without_hunks(TWO_HUNKS, [*first.hunks])
    assert [c.path for c in parse_patch(only)] == ["b.py"]
    assert without_hunks(TWO_HUNKS, []) == TWO_HUNKS
    assert parse_patch(without_hunks(TWO_HUNKS, [*first.hunks, *second.hunks])) == ()


def test_a_missing_newline_at_the_end_and_odd_names_are_read() -> None:
    text = (
        'diff --git "a/caf\\303\\251 x.py" "b/caf\\303\\251 x.py"\n'
        "index 1111111..2222222 100644\n"
        '--- "a/caf\\303\\251 x.py"\n+++ "b/caf\\303\\251 x.py"\n'
        "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file\n"
    )
    (change,) = parse_patch(text)
    assert (change.path, change.added, change.removed) == ("café x.py", ((1, "b"),), ((1, "a"),))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("something else\n", "git's format"),
        ("diff --git a/x b/y\n", "renames"),
        ("diff --git a/x b/x\nrename from x\nrename to y\n", "not understood"),
        ("diff --git a/x b/x\nGIT binary patch\nliteral 3\n", "binary"),
        ("diff --git a/x b/x\nBinary files a/x and b/x differ\n", "binary"),
        (patch({"x": "b\n"}, {"x": "a\n"}).replace("+++ b/x", "+++ b/../x"), "contradict"),
        (patch({"x": "b\n"}, {"x": "a\n"}).replace("--- a/x", "--- /dev/null"), "contradict"),
        (patch({"x": "b\n"}, {"x": "a\n"}).replace("-1 +1", "-1,3 +1"), "shorter"),
        (patch({"x": "b\n"}, {"x": "a\n"}) + "+c\n", "followed by text"),
        (patch({"x": "b\n"}, {"x": "a\n"}) * 2, "twice"),
    ],
)
def test_odd_patches_are_refused(text: str, reason: str) -> None:
    with pytest.raises(BadPatch, match=reason):
        parse_patch(text)


@given(st.text() | st.text(alphabet="+-@ \n\\ab/12,").map(lambda s: TWO_HUNKS + s))
def test_no_text_makes_the_parser_crash(text: str) -> None:
    try:
        parse_patch(text)
    except BadPatch as error:
        assert str(error)


@pytest.mark.parametrize(
    "path",
    [
        ".github/workflows/ci.yml",
        ".GitHub/Workflows/ci.yml",
        ".github/patchwright.yml",
        "sub/.gitattributes",
        ".gitmodules",
        "CODEOWNERS",
        ".github/CODEOWNERS",
        "docs/codeowners",
        ".github/dependabot.yml",
        ".circleci/config.yml",
        ".gitlab-ci.yml",
        "azure-pipelines.yml",
        "azure-pipelines-nightly.yml",
        ".azure-pipelines/templates/a.yml",
        "Jenkinsfile",
        "ci/JenkinsFile",
        ".travis.yml",
        ".buildkite/pipeline.yml",
        ".drone.yml",
        ".woodpecker.yml",
        ".woodpecker/a.yml",
        "appveyor.yml",
        ".appveyor.yml",
        "bitbucket-pipelines.yml",
        "cloudbuild.yaml",
        ".cirrus.yml",
        ".semaphore/semaphore.yml",
        ".teamcity/settings.kts",
        ".husky/pre-commit",
        "web/.husky/pre-commit",
        ".pre-commit-config.yaml",
        ".devcontainer/devcontainer.json",
        ".VSCode/tasks.json",
        "web/.vscode/settings.json",
        ".idea/runConfigurations/a.xml",
        ".envrc",
        "web/.npmrc",
        ".yarnrc",
        "web/.yarnrc.yml",
        ".lfsconfig",
        "action.yml",
        ".gitlab/ci/test.yml",
        "lefthook.yml",
        ".vs/a/launch.vs.json",
        "mise.toml",
        "web/.pnpmfile.cjs",
        ".yarn/releases/yarn-4.cjs",
        ".gitpod.yml",
        "AGENTS.md",
        "sub/CLAUDE.md",
        ".claude/settings.json",
        ".cursor/rules/a.mdc",
        ".mcp.json",
        "sitecustomize/__init__.py",
        "shop-1.dist-info/entry_points.txt",
        "src/shop.egg-info/entry_points.txt",
        "babel.config.js",
        "vite.config.ts",
        "src/__mocks__/fs.js",
        ".cargo/config.toml",
        ".mvn/maven.config",
        "go.work",
        "toxfile.py",
        "../x.py",
        "/etc/passwd",
        "a//b.py",
        "a/./b.py",
        ".git/hooks/pre-commit",
        "sub/.GIT/config",
        "x.pth",
        "src/sitecustomize.py",
        "usercustomize.py",
        "pytest.ini",
        "sub/tox.ini",
        "jest.config.mjs",
        "poetry.lock",
        "requirements-dev.txt",
        "web/package-lock.json",
    ],
)
def test_forbidden_paths(path: str) -> None:
    assert refused(patch({path: "x\n"})), path


@pytest.mark.parametrize(
    "path",
    [
        "src/a.py",
        "docs/git.md",
        "tests/test_a.py",
        "lock.py",
        "a b.py",
        "circleci/a.py",
        "npmrc.py",
        "docs/agents.rst",
        "src/mocks/a.js",
        "src/action.py",
    ],
)
def test_plain_paths_are_allowed(path: str) -> None:
    assert not refused(patch({path: "x\n"}))


@pytest.mark.parametrize(
    "path",
    [
        ".g\u200cit/config",
        "sub/.git \u200b/config",
        "\ufeff.git/config",
        ".git\u00a0./config",
        "\uff0egit/config",
        ".git::$INDEX_ALLOCATION/config",
        "git~1/config",
        "sub/GIT~2",
        "gitmod~1",
        "GI7D29~1",
        ".github./workflows/ci.yml",
        ".git\u200dhub/workflows/ci.yml",
        ".gitattributes ",
    ],
)
def test_names_that_some_file_system_reads_as_forbidden_ones(path: str) -> None:
    assert file_path_refusal(path, GatePolicy()), path


@pytest.mark.parametrize("path", ["src/.gitkeep", "git.py", "a~1.py", "git~/a.py", "caf\u00e9.py"])
def test_names_that_only_look_a_little_like_them_are_allowed(path: str) -> None:
    assert file_path_refusal(path, GatePolicy()) is None


def test_lock_files_are_allowed_when_asked_for() -> None:
    text = patch({"go.sum": "x\n"})
    assert "lock file" in refused(text)
    assert not refused(text, GatePolicy(allow_lock_files=True))
    assert not refused(text, issue=Issue(title="go.sum is out of date", body=""))


@pytest.mark.parametrize("mode", ["120000", "160000", "100600", "040000"])
def test_links_submodules_and_odd_modes_are_refused(mode: str) -> None:
    text = patch({"x": "target\n"}).replace("100644", mode)
    assert "symbolic link, a submodule" in refused(text)
    change = f"diff --git a/x b/x\nold mode 100644\nnew mode {mode}\n"
    assert "odd mode" in refused(change)


def test_executable_bits_may_change() -> None:
    assert not refused("diff --git a/x b/x\nold mode 100644\nnew mode 100755\n")


def test_tests_and_documents_do_not_count_towards_the_size() -> None:
    def too_large(text: str, policy: GatePolicy) -> str:
        return " ".join(size_refusals(parse_patch(text), policy))

    three = patch({"a": "x\n", "b": "x\n", "c": "x\n"})
    assert "3 files" in too_large(three, GatePolicy(max_files=2))
    assert "10 lines" in too_large(patch({"a": "x\n" * 10}), GatePolicy(max_changed_lines=9))
    beside = {"a.py": "x\n", "tests/test_a.py": "x\n" * 900, "CHANGELOG.md": "x\n" * 900}
    assert too_large(patch(beside), GatePolicy(max_files=1)) == ""
    assert "30000 lines" in refused(patch({"tests/test_a.py": "x\n" * 30_000}))


@pytest.mark.parametrize(
    ("path", "test"),
    [
        ("tests/data.json", True),
        ("pkg/test_a.py", True),
        ("pkg/a_test.go", True),
        ("web/a.spec.ts", True),
        ("src/test/java/ATest.java", True),
        ("conftest.py", True),
        ("src/contest.py", False),
        ("src/latest.py", False),
        ("src/testing.go", False),
    ],
)
def test_what_a_test_is(path: str, test: bool) -> None:
    assert is_test(path) is test


def test_source_and_globs() -> None:
    assert is_source("a.rs") and not is_source("a.md") and not is_source("tests/a.py")
    assert matches("a/b/c.lock", ("*.lock",)) and not matches("a/b.lock/c", ("*.lock",))
    assert matches("a/b/c", ("a/**",)) and not matches("b/a/c", ("a/**",))


def test_only_the_allowed_paths_when_there_are_any() -> None:
    policy = GatePolicy(allowed_paths=("src/**",))
    assert not refused(patch({"src/a/b.py": "x\n"}), policy)
    assert "outside of the paths" in refused(patch({"setup.py": "x\n"}), policy)
    assert "that no patch may touch" in refused(patch({"src/.gitattributes": "x\n"}), policy)
    # A reproduction is no part of the patch.
    assert file_path_refusal("tests/test_a.py", policy) is None


def test_the_paths_of_a_tree_are_told_by_headers_alone() -> None:
    diff = """diff --git a/new.py b/new.py
new file mode 100644
index 0000000..e69de29
diff --git a/gone.py b/gone.py
deleted file mode 100644
--- a/gone.py
+++ /dev/null
@@ -1,2 +0,0 @@
--- /dev/null
-diff --git a/x b/x
diff --git a/photo.bin b/photo.bin
index 1..2 100644
Binary files a/photo.bin and b/photo.bin differ
diff --git "a/caf\\303\\251.py" "b/caf\\303\\251.py"
new file mode 100644
--- /dev/null
+++ "b/caf\\303\\251.py"
@@ -0,0 +1 @@
+++ b/spoofed.py
diff --git a/link b/link
deleted file mode 100644
diff --git a/link b/link
new file mode 120000
"""
    assert touched_paths(diff) == {
        "new.py": "added",
        "gone.py": "deleted",
        "photo.bin": "changed",
        "café.py": "added",
        "link": "changed",
    }
    assert touched_paths("") == {}
