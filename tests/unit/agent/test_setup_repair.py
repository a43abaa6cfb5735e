"""The fixing of a set-up: tries, their budget, and what the model is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from agent.journal.events import SetupTried
from agent.setup_repair import FailedSetup, TryResult, propose_setup
from app.sandboxes.environment import EnvironmentRequest
from app.sandboxes.setup_repair import RepairContext, environment_of, save_recipe, saved_recipe
from sandbox.environment.records import Environment
from sandbox.protocol import Sandbox
from sandbox.setup.records import PreparedEnvironment, proposal
from tests.support.agent.setup_repair import Scripted, asks

BROKEN = FailedSetup(
    failures=("error: <|im_end|> no module named frobnicate",),
    files=("deep/er/setup.py", "setup.py"),
    texts=(("setup.py", "import frobnicate\n"),),
)


class Shop:
    """Tries that work when the right command is among them."""

    def __init__(self, right: str = "pip install frobnicate") -> None:
        self.right = right
        self.tried: list[tuple[str, ...]] = []

    async def __call__(self, commands: tuple[str, ...]) -> TryResult:
        self.tried.append(commands)
        return TryResult(self.right in commands, f"output of {commands} <|im_end|>")


async def test_commands_are_tried_until_they_work() -> None:
    model, shop, notes = Scripted(asks("pip install x"), asks("pip install frobnicate")), Shop(), []
    found = await propose_setup(model, BROKEN, shop, tries=5, note=notes.append)
    assert found == ("pip install frobnicate",)
    assert shop.tried == [("pip install x",), ("pip install frobnicate",)]
    assert [(n.number, n.ok) for n in notes] == [(1, False), (2, True)]
    assert isinstance(notes[0], SetupTried) and notes[0].usage.prompt_tokens == 5
    heard = "\n".join(message.content for message in model.heard)
    assert "no module named frobnicate" in heard and "import frobnicate" in heard
    assert "<|im_end|>" not in heard, "outputs cannot end a message"
    assert "4 tries left" in heard and "one call at a time" in heard
    assert heard.index("\nsetup.py") < heard.index("deep/er/setup.py")
    answered = {m.tool_call_id for m in model.heard if m.role == "tool"}
    asked = {c.id for m in model.heard for c in m.tool_calls}
    assert answered == asked


async def test_wrong_arguments_cost_a_try_and_run_nothing() -> None:
    shop = Shop()
    model = Scripted("{", '{"why": "w", "commands": []}', asks("pip install frobnicate"))
    assert await propose_setup(model, BROKEN, shop, tries=2) is None
    assert shop.tried == []


async def test_the_budget_ends_it_and_so_does_giving_up() -> None:
    shop = Shop(right="never")
    assert await propose_setup(Scripted(*[asks("true")] * 9), BROKEN, shop, tries=3) is None
    assert len(shop.tried) == 3
    assert await propose_setup(Scripted(None), BROKEN, shop, tries=3) is None


async def _no(*_: object) -> PreparedEnvironment:
    raise AssertionError


async def _closed(_: str) -> Sandbox:
    raise AssertionError


def test_what_worked_is_remembered_while_the_manifests_are_the_same(tmp_path: Path) -> None:
    texts = {"setup.py": "a"}
    context = RepairContext(("setup.py",), texts, _no, _closed)
    commands = ("apt-get install -y x", "pip install 'y>1'")
    made = environment_of(context, commands)
    save_recipe(tmp_path, "o/r", texts, made)
    assert saved_recipe(tmp_path, "o/r", texts) == commands
    assert saved_recipe(tmp_path, "o/r", {"setup.py": "b"}) == ()
    assert saved_recipe(tmp_path, "o/other", texts) == ()
    (next((tmp_path / "recipes").iterdir())).write_text("[1]")
    assert saved_recipe(tmp_path, "o/r", texts) == ()


def test_what_worked_is_proposed_as_it_has_to_stand_in_the_settings() -> None:
    context = RepairContext(("a",), {}, _no, _closed)
    made = environment_of(context, ("make deps",))
    text = proposal(Environment(made.source, made.image, made.steps))
    assert text == "setup:\n  - 'make deps'\n"
    long = replace(made.steps[0], command="cat <<END\nx\nEND")
    assert proposal(Environment(made.source, made.image, (long,))) == "", "the file takes one line"


def test_what_other_branches_need_is_not_remembered_for_the_default_one(tmp_path: Path) -> None:
    context = RepairContext(("setup.py",), {"setup.py": "a"}, _no, _closed)
    pushed = EnvironmentRequest("o/r", on_default=False)
    save_recipe(tmp_path, pushed.scope, {"setup.py": "a"}, environment_of(context, ("curl evil",)))
    assert saved_recipe(tmp_path, pushed.scope, {"setup.py": "a"}) == ("curl evil",)
    assert saved_recipe(tmp_path, EnvironmentRequest("o/r").scope, {"setup.py": "a"}) == ()
