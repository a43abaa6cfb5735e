"""Tests of other languages as programs: what is built, and what JavaScript's driver sees."""

from __future__ import annotations

import dataclasses
import shutil

import pytest

from agent.gate.plain.check import plain_check
from agent.gate.plain.go import go_program
from agent.gate.plain.java import maven_of, under_other_names
from agent.gate.plain.program import read_said
from agent.gate.plain.records import PlainOutcome, PlainTests
from agent.gate.plain.run import nearby_tests, run_plain
from agent.gate.plain.rust import rust_program
from agent.gate.plain.trees import TestFile
from agent.gate.scope import Touched
from tests.doubles.local_sandbox import LocalSandbox
from tests.support.agent.dishonest import Changes, Project
from tests.support.agent.dishonest.javascript import JEST, MOCHA, VITEST, fixed, watching

SEEN = {
    "test/every.test.js": "at test/every.test.js:4:",
    "test/every.js": "at test/every.js:6:",
    "test/every.test.mjs": "at test/every.test.mjs:5:",
}


async def outcomes(project: Project, changes: Changes) -> dict[str, PlainOutcome]:
    own = project.reproduction.files
    files = {**project.files, **{k: v for k, v in changes.items() if v is not None}, **own}
    box = LocalSandbox(files)
    try:
        return await run_plain(box, PlainTests(command="", declared=own))
    finally:
        await box.close()


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
@pytest.mark.parametrize(
    ("project", "name"),
    [
        (JEST, "a value that equals everything"),
        (JEST, "exit"),
        (MOCHA, "assertions replaced"),
        (VITEST, "name of the process"),
    ],
)
async def test_javascript_without_its_runner(project: Project, name: str) -> None:
    pair = project.pairs[name]
    base = await outcomes(project, {})
    shown = SEEN[next(iter(project.reproduction.files))]
    dishonest = await outcomes(project, pair.dishonest)
    honest = await outcomes(project, pair.honest)
    assert not plain_check(project.reproduction.files, base, dishonest, shown).ok
    assert {seen.outcome for seen in honest.values()} == {"passed"}


_WATCHING = watching('/\\.test\\.|test[/]/.test(new Error("x").stack)')
_BODY = 'expect(total(["2.50", "4.00"])).toEqual(650);'
_LIKE = 'expect({ n: total(["2.50", "4.00"]) }).toMatchObject({ n: 650 });'


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("test('rows', () => {", _BODY),
        ("test.only('rows', () => {", _BODY),
        ("test('rows', (done) => {", f"{_BODY} done();"),
        ("test('rows', () => {", f"const f = jest.fn(() => 1); f(2); {_LIKE}"),
        ("test('rows', () => {", f"expect([1]).toEqual([expect.any(Number)]); {_LIKE}"),
    ],
)
async def test_what_a_javascript_test_needs_of_its_runner_is_there(head: str, body: str) -> None:
    text = f'const {{ total }} = require("../lib/total");\n\n{head}\n  {body}\n}});\n'
    own = JEST.reproduction.model_copy(update={"files": {"test/every.test.js": text}})
    project = dataclasses.replace(JEST, reproduction=own)
    base = await outcomes(project, {})
    seen = await outcomes(project, _WATCHING)
    shown = plain_check(own.files, base, seen, "at test/every.test.js:4:")
    assert not shown.ok and "elsewhere" in shown.detail
    assert {one.outcome for one in (await outcomes(project, fixed())).values()} == {"passed"}


def test_a_go_test_becomes_a_program_without_its_package_of_tests() -> None:
    text = 'package shop_test\n\nimport "testing"\n\nfunc TestA(t *testing.T) {\n}\n'
    file = TestFile(path="lib/shop/a_test.go", text=text, declared=True)
    files = go_program([file], "lib", "example.com/x", "pq")
    assert files["lib/pq/outside/pq0.go"].startswith(
        'package outside\n\nimport testing "example.com/x/pq/given"\n\nfunc HandlePq0('
    )
    assert '{"a_test.go::TestA", "a_test.go", HandlePq0}' in files["lib/pq/outside/pq.go"]
    assert '"testing"' not in "".join(files.values())
    inside = TestFile(path="lib/shop/a_test.go", text=text.replace("_test", "", 1), declared=True)
    added = go_program([inside], "lib", "example.com/x", "pq")
    assert added["lib/shop/pq0.go"].startswith("package shop\n")
    assert 'tested "example.com/x/shop"' in added["lib/pq/main.go"]


def test_a_rust_test_becomes_an_example_with_its_lines_in_place() -> None:
    text = "#[test]\nfn a() {\n}\n\n#[test]\n#[should_panic]\nfn b() {\n}\n"
    file = TestFile(path="tests/a.rs", text=text, declared=True)
    program = rust_program(file, ".", "pq")["examples/pq.rs"]
    assert program.split("\n")[1] == "fn a() {" and "#[test]" not in program
    assert '("tests/a.rs::a", a as fn())' in program and '("tests/a.rs::b"' not in program


def test_a_java_test_gets_names_that_do_not_say_so_with_its_lines_in_place() -> None:
    text = (
        "package shop;\n\nclass EveryRowTest {\n    EveryRowTest() {}\n\n    @Test\n"
        '    @Tag("EveryRowTest")\n    void everyRowCounts() throws Exception {\n'
        "        shop.Total.everyRowCounts();\n    }\n\n    void helps() {}\n}\n"
    )
    file = TestFile(path="src/test/java/shop/EveryRowTest.java", text=text, declared=True)
    changed, names = under_other_names(file, "HandleX")
    assert changed.count("\n") == text.count("\n")
    assert "class HandleX {\n    HandleX() {}" in changed and '@Tag("EveryRowTest")' in changed
    assert "void handlex0() throws" in changed and "Total.everyRowCounts()" in changed
    assert "void helps()" in changed
    assert names == {
        "shop.HandleX": file.path,
        "shop.HandleX::handlex0": f"{file.path}::everyRowCounts",
    }
    said = (
        "w start\tshop.HandleX::handlex0\nw outcome\tshop.HandleX::handlex0\tpassed\t\t0\nw end\n"
    )
    assert list(read_said(said, "w", names)) == [f"{file.path}::everyRowCounts"]


@pytest.mark.parametrize(
    ("command", "tool"),
    [
        ("mvn -B -s x.xml test -Dtest=A", "mvn -B -s x.xml"),
        ("./mvnw -q verify -Pfast", "./mvnw -Pfast"),
        ("mvn test && rm x", None),
        ("gradle test", None),
    ],
)
def test_mavens_options_are_kept(command: str, tool: str | None) -> None:
    assert maven_of(command) == tool


def test_the_tests_of_a_package_speak_for_its_files() -> None:
    java = Touched(
        path="src/main/java/a/shop/Total.java",
        language="Java",
        project=".",
        named=("src/test/java/a/shop/TotalTest.java",),
        of_project=(
            "src/test/java/a/other/XTest.java",
            "src/test/java/a/shop/RowsTest.java",
            "src/test/java/a/shop/TotalTest.java",
        ),
    )
    assert nearby_tests([java]) == (
        "src/test/java/a/shop/TotalTest.java",
        "src/test/java/a/shop/RowsTest.java",
    )
