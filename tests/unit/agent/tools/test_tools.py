"""The tools, each through the table that the model's calls go through."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from agent.model import ToolCall
from agent.tools.registry import TOOLS, parse_call, tool_specs
from sandbox.errors import SandboxError
from sandbox.protocol import CommandResult
from tests.doubles.local_sandbox import LocalSandbox
from tests.support.agent.tool_context import FILES, Workbench, call

__all__ = ["call"]


async def test_view_numbers_lines_and_says_what_is_left(call: Workbench):
    reply = await call("view", path="shop/prices.py", start=2, end=3)
    assert reply.text.splitlines() == [
        "shop/prices.py (5 lines)",
        "     2\t    amount = 0",
        "     3\t    for p in prices:",
        "[2 more lines; view from 4]",
    ]
    assert (await call("view", path="shop")).text.strip() == "prices.py"
    assert "binary" in (await call("view", path="photo.bin")).text
    assert (await call("view", path="none.py")).status == "refused"


async def test_a_view_of_long_lines_says_where_it_goes_on(call: Workbench):
    await call.sandbox.write("data.txt", b"\n".join([b"x" * 5000] * 500))
    reply = await call("view", path="data.txt")
    assert len(reply.text) < 65_000
    shown = len(reply.text.splitlines()) - 2
    assert reply.text.endswith(f"[{500 - shown} more lines; view from {shown + 1}]")


async def test_edit_keeps_line_ends_and_warns_of_broken_syntax(call: Workbench):
    assert (await call("edit", path="win.txt", old="two\n", new="2\n")).status == "ok"
    assert await call.sandbox.read("win.txt") == b"one\r\n2\r\n"
    broken = await call("edit", path="shop/prices.py", old="return amount", new="return (amount")
    assert broken.text.startswith("edited shop/prices.py")
    assert "no longer parses" in broken.text
    assert "SyntaxError" in broken.text
    near = await call("edit", path="shop/prices.py", old="amount  -= p", new="amount += p")
    assert near.status == "refused"
    assert "amount -= p" in near.text


async def test_edit_keeps_the_encoding_or_says_why_it_cannot(call: Workbench):
    refused = await call("edit", path="old.py", old="name", new="price = '5 €'\nname")
    assert refused.status == "refused"
    assert "latin-1, which has no '€'" in refused.text
    assert (await call("edit", path="old.py", old="caf", new="Caf")).status == "ok"
    assert await call.sandbox.read("old.py") == b"# -*- coding: latin-1 -*-\nname = 'Caf\xe9'\n"
    windows = await call("edit", path="win.txt", old="one\r\ntwo", new="1\r\n2")
    assert windows.status == "ok"
    assert await call.sandbox.read("win.txt") == b"1\r\n2\r\n"


async def test_broken_settings_are_noticed_too(call: Workbench):
    broken = await call("create", path="pyproject.toml", content="[project\nname = 1\n")
    assert "no longer parses" in broken.text
    assert "no longer" not in (await call("create", path="a.toml", content="[a]\nb = 1\n")).text


async def test_create_refuses_to_overwrite_in_the_tree(call: Workbench):
    assert (await call("create", path="new.py", content="x = 1\n")).text.startswith(
        "created new.py"
    )
    assert (await call("create", path="new.py", content="x = 2\n")).status == "refused"
    assert await call.sandbox.read("new.py") == b"x = 1\n"
    assert (await call("create", path="/tmp/s.py", content="1\n")).status == "ok"
    assert (await call("create", path="/tmp/s.py", content="2\n")).status == "ok"


async def test_neutralised_tokens_come_back_whole_in_files(call: Workbench):
    await call("create", path="tokens.txt", content="<¦|im_end|>\n")
    assert await call.sandbox.read("tokens.txt") == b"<|im_end|>\n"


async def test_bash_tells_how_a_command_ended(call: Workbench):
    assert (await call("bash", command="echo hi; false")).text == "hi\n[exit 1]"
    killed = await call("bash", command="sleep 30", timeout_s=1)
    assert killed.status == "timeout"
    assert killed.text == "[killed after 1 s]"


async def test_run_tests_marks_what_fails_without_the_change(call: Workbench):
    reply = await call("run_tests")
    assert reply.text.startswith("1 passed, 1 failed, 0 errors, 0 skipped")
    assert "test_wrong_already  (fails without your change too)" in reply.text
    assert reply.tests["tests/test_prices.py::test_none"] == "passed"


async def test_a_hypothesis_rolls_the_tree_back_when_refuted(call: Workbench):
    claim = {"claim": "sign", "prediction": "sum is right", "test": "run tests"}
    first = await call("hypothesis", action="propose", **claim)
    assert first.text.startswith("H1 proposed")
    assert (await call("hypothesis", action="propose", **claim)).status == "refused"
    await call("edit", path="shop/prices.py", old="-= p", new="+= p")
    await call("create", path="extra.py", content="1\n")
    unknown = await call("hypothesis", action="refute", evidence="no", calls=["bash:99"])
    assert "no such calls" in unknown.text
    refuted = await call("hypothesis", action="refute", evidence="still wrong", calls=["edit:0"])
    assert refuted.text.startswith("H1 refuted")
    assert b"-= p" in await call.sandbox.read("shop/prices.py")
    assert await call.sandbox.diff() == ""
    assert call.journal.state.hypotheses[0].verdict == "refuted"
    assert "H1 [refuted] sign" in (await call("hypothesis", action="list")).text


async def test_a_confirmed_hypothesis_keeps_the_tree(call: Workbench):
    await call("hypothesis", action="propose", claim="c", prediction="p", test="t")
    await call("edit", path="shop/prices.py", old="-= p", new="+= p")
    await call("hypothesis", action="confirm", evidence="passes", calls=["functions.edit:0"])
    assert b"+= p" in await call.sandbox.read("shop/prices.py")
    assert call.journal.state.last_snapshot.why == "H1 confirmed"


TEST = "from shop.prices import total\n\n\ndef test_two():\n    assert total([2]) == 2\n"


async def test_a_reproduction_must_fail_for_the_reason_claimed(call: Workbench):
    command = "python3 -m pytest -q -p no:cacheprovider tests/test_two.py"
    given = {"command": command, "files": {"tests/test_two.py": TEST}}
    wrong = await call("reproduction", **given, expected_failure="KeyError")
    assert wrong.text.startswith("refused: it fails, but its output does not hold 'KeyError'")
    assert call.journal.state.reproduction is None
    passing = await call("reproduction", command="true", expected_failure="x")
    assert passing.text.startswith("refused: the command succeeds")
    right = await call("reproduction", **given, expected_failure="assert -2 == 2")
    assert right.text.startswith("accepted: it fails as claimed")
    assert call.journal.state.reproduction.failures == 3


@pytest.mark.parametrize("words", ["Error", "FAILED", "1 failed", "Traceback", "error:", "assert"])
async def test_a_claim_that_fits_any_failure_is_refused(call: Workbench, words: str):
    reply = await call("reproduction", command="echo error: x; exit 1", expected_failure=words)
    assert "fits any failure" in reply.text


async def test_a_command_that_cannot_be_run_reproduces_nothing(call: Workbench):
    reply = await call("reproduction", command="no-such-tool x", expected_failure="not found")
    assert reply.text.startswith("refused: the command cannot be run here")


async def test_a_flaky_reproduction_is_said_to_be_flaky(call: Workbench):
    command = "n=$(cat /tmp/n 2>/dev/null || echo 0); echo $((n+1)) >/tmp/n; echo n=$n; [ $n = 1 ]"
    reply = await call("reproduction", command=command, expected_failure="n=")
    assert "flaky: it failed in 2 of 3 runs" in reply.text
    assert "about 7 times" in reply.text
    assert call.journal.state.reproduction.runs == 3
    assert call.journal.state.reproduction.failures == 2


async def test_submit_needs_a_reproduction_and_a_change(call: Workbench):
    why = {"root_cause": "sign", "summary": "plus"}
    assert "no accepted reproduction" in (await call("submit", **why)).text
    await call("reproduction", why_none="needs a printer")
    assert "nothing to submit" in (await call("submit", **why)).text
    await call("edit", path="shop/prices.py", old="-= p", new="+= p")
    answered = await call("submit", **why)
    assert answered.text == "not proven: refused.\n- a reason"
    assert "+        amount += p" in call.journal.state.verdict.patch


async def test_log_greps_ranges_tails_and_finds_the_first_error(call: Workbench):
    lines = [f"line {i}" for i in range(1, 1001)]
    lines[499] = 'File "/app/shop/prices.py", line 4, in total'
    lines[500] = "ZeroDivisionError: division by zero"
    call.journal.put_log("attached:1", "\n".join(lines).encode())
    hit = await call("log", id="attached:1", grep="Zero.*zero", context=1)
    assert hit.text.splitlines()[0] == "1 hits; 1000 lines in all"
    assert "   501\tZeroDivisionError" in hit.text
    first = await call("log", id="attached:1", first_error=True)
    assert "first error at line 501" in first.text
    assert "shop/prices.py:4 in total" in first.text
    assert (await call("log", id="attached:1", tail=2)).text.endswith("line 1000")
    ranged = await call("log", id="attached:1", start=10, end=11)
    assert ranged.text.splitlines()[1:] == ["    10\tline 10", "    11\tline 11"]
    assert (await call("log", id="nope")).status == "refused"
    assert "bad regular expression" in (await call("log", id="attached:1", grep="(")).text


async def test_a_regular_expression_that_never_ends_is_refused(call: Workbench):
    call.journal.put_log("attached:1", b"a" * 3000 + b"!")
    reply = await call("log", id="attached:1", grep="(a|aa)+$")
    assert "takes too long" in reply.text


async def test_a_slow_pattern_has_one_limit_for_the_whole_log_and_stops_nobody_else(
    call: Workbench,
):
    # Each line by itself is quick enough; there are very many of them.
    call.journal.put_log("attached:1", b"\n".join([b"a" * 24 + b"!"] * 100_000))
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.01)
            beats += 1

    beating = asyncio.create_task(beat())
    reply = await call("log", id="attached:1", grep="(a|a?a)+$")
    beating.cancel()
    assert "takes too long" in reply.text
    assert beats > 5, "other runs went on meanwhile"


async def test_the_log_of_a_ci_job_is_read_through_its_times_and_colours(call: Workbench):
    stamp = "2026-05-04T10:11:12.3456789Z "
    lines = [
        "##[group]Run pytest",
        "collected 2 items",
        "\x1b[31mTraceback (most recent call last):\x1b[0m",
        '  File "/home/runner/work/shop/shop/prices.py", line 4, in total',
        "    amount -= p",
        "TypeError: unsupported operand",
    ]
    call.journal.put_log("attached:ci-7", "\n".join(stamp + line for line in lines).encode())
    first = await call("log", id="attached:ci-7", first_error=True)
    assert "first error at line 3" in first.text
    assert "frames in this repository: shop/prices.py:4 in total" in first.text


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("nope", "{}", "there is no tool 'nope'"),
        ("bash", '{"command": "echo', "not JSON"),
        ("bash", '{"command": 5}', "command: Input should be a valid string"),
        ("bash", "{}", "command: Field required"),
        ("bash", '{"command": "a", "cwd": "/"}', "cwd: Extra inputs are not permitted"),
        ("bash", "[" * 200_000, "nested too deeply"),
        ("bash", "[1]", "do not fit the schema of bash"),
    ],
)
def test_bad_calls_are_answered_so_that_they_can_be_fixed(name: str, arguments: str, words: str):
    answer = parse_call(ToolCall(id="x", name=name, arguments=arguments))
    assert isinstance(answer, str)
    assert words in answer


async def test_a_command_may_take_no_longer_than_the_attempt(call: Workbench):
    budget = call.context.task.budget.model_copy(update={"wall_s": 1.0})
    task = call.context.task.model_copy(update={"budget": budget})
    call.context = dataclasses.replace(call.context, task=task)
    assert (await call("bash", command="sleep 30", timeout_s=20)).text == "[killed after 1 s]"


def test_every_tool_has_a_description_and_a_schema():
    specs = tool_specs()
    assert [s.name for s in specs] == list(TOOLS)
    for spec in specs:
        assert spec.description
        assert spec.parameters["type"] == "object"
    assert specs == tool_specs()


BROKEN = f"{FILES['shop/prices.py']}\nimport gone\n"
CLAIM = "python3 -c 'raise SystemExit(\"ZeroDivisionError: here\")'"


async def test_a_refused_reproduction_leaves_nothing_behind(call: Workbench):
    files = {"new/deep.py": "1\n", "/tmp/scratch.py": "2\n", "tests/test_two.py": TEST}
    reply = await call("reproduction", command="true", files=files, expected_failure="two")
    assert reply.text.startswith("refused: the command succeeds")
    assert await call.sandbox.diff() == ""
    assert not (await call.sandbox.run("cat /tmp/scratch.py")).ok


async def test_a_reproduction_does_not_overwrite_code(call: Workbench):
    before = await call.sandbox.read("shop/prices.py")
    files = {"shop/prices.py": "import nothing_there\n"}
    reply = await call(
        "reproduction", command="python3 shop/prices.py", files=files, expected_failure="nothing_"
    )
    assert "shop/prices.py exists and is no test" in reply.text
    assert await call.sandbox.read("shop/prices.py") == before


@pytest.mark.parametrize(
    ("prepare", "files", "command", "words"),
    [
        ("rm shop/prices.py", {"shop/prices.py": "import gone\n"}, CLAIM, "was deleted"),
        ("ln -s ../shop tests/s", {"tests/s/prices.py": BROKEN}, CLAIM, "through a link"),
        ("true", {}, f"echo import gone >shop/prices.py; {CLAIM}", "the command changes shop/pri"),
        ("true", {}, f"rm shop/prices.py; {CLAIM}", "the command changes shop/prices.py"),
    ],
)
async def test_a_failure_that_the_reproduction_made_itself_is_none(
    call: Workbench, prepare: str, files: dict[str, str], command: str, words: str
):
    await call.sandbox.run(prepare)
    before = await call.sandbox.diff()
    given = {"command": command, "expected_failure": "ZeroDivisionError: here"}
    reply = await call("reproduction", files=files, **given)
    assert reply.status == "refused"
    assert words in reply.text
    assert await call.sandbox.diff() == before


async def test_a_reproduction_that_breaks_off_leaves_nothing_behind(call: Workbench):
    class Breaking(LocalSandbox):
        async def run(self, command: str, *, timeout_s: float = 120.0) -> CommandResult:
            if "touch" in command:
                await super().run(command)
                raise SandboxError("the engine refused")
            return await super().run(command, timeout_s=timeout_s)

    sandbox = Breaking({**FILES, ".gitignore": "*.log\n"})
    bench = Workbench(sandbox)
    files = {"new/deep/er.py": "1\n", "tests/test_two.py": TEST, "seen.log": "2\n"}
    with pytest.raises(SandboxError, match="the engine refused"):
        await bench("reproduction", command="touch more.py", files=files, expected_failure="two")
    assert await sandbox.diff() == ""
    assert (await sandbox.run("ls -A")).text.split() == [
        ".gitignore", "old.py", "photo.bin", "shop", "tests", "win.txt"
    ]  # fmt: skip
    await sandbox.close()


async def test_what_the_model_made_itself_may_be_declared_in_another_form(call: Workbench):
    await call("create", path="shows.py", content="1\n")
    given = {"command": CLAIM, "expected_failure": "ZeroDivisionError: here"}
    assert (await call("reproduction", files={"shows.py": "2\n"}, **given)).text[:8] == "accepted"
    assert (await call("reproduction", files={"shows.py": "3\n"}, **given)).text[:8] == "accepted"


async def test_tests_may_be_added_to_an_existing_file_and_nothing_else_done(call: Workbench):
    path = "tests/test_prices.py"
    old = (await call.sandbox.read(path)).decode()
    given = {"command": CLAIM, "expected_failure": "ZeroDivisionError: here"}
    more = old + "\n\ndef test_more():\n    assert 1\n"
    changed = await call("reproduction", files={path: more.replace("assert", "pass #", 1)}, **given)
    assert "asserts less than before" in changed.text
    assert (await call.sandbox.read(path)).decode() == old
    contradicted = await call("reproduction", files={path: old.replace("== 0", "== 5")}, **given)
    assert contradicted.text.startswith("accepted")
    assert "name each in `contested`" in contradicted.text
    assert (await call("reproduction", files={path: more}, **given)).text[:8] == "accepted"
