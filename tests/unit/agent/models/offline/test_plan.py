"""A search that has to have its first change approved."""

from __future__ import annotations

import pytest

from agent.models.offline.plan import WANTED, with_plan
from agent.models.offline.protocol import Call, Result, Steps, call
from agent.prompting import task_prompt
from agent.task import Asking
from tests.support.agent.loops import a_task

EDIT = {"path": "shop/cart.py", "old": "t = 1\n", "new": "t = 0\n"}


def repair() -> Steps[str]:
    yield from call("bash", "A look.", command="ls")
    yield from call("hypothesis", "It is here.", action="propose", claim="The sum starts at 1.")
    yield from call("edit", "The best change.", **EDIT)
    answer = yield from call("submit", "It holds.", root_cause="1")
    return "" if answer.text == "proven" else "nothing"


def driver() -> Steps[None]:
    yield from call("create", "The driver.", path="/tmp/driver.py", content="")


def played(*answers: str) -> tuple[list[Call], str]:
    """The calls of the search with these results, and what it says at its end."""
    steps, made, left = with_plan(repair(), driver), [], list(answers)
    try:
        made.append(next(steps))
        while True:
            made.append(steps.send(Result(left.pop(0), f"c{len(made)}")))
    except StopIteration as ended:
        return made, str(ended.value)


APPROVED = "ann, a maintainer, approved the plan: make this change and submit it."


def test_the_first_change_is_proposed_and_made_once_it_is_approved() -> None:
    made, said = played(
        "files", "H1 proposed", "[interrupted]", APPROVED, "made", "edited", "proven"
    )
    names = [one.name for one in made]
    assert names == ["bash", "hypothesis", "plan", "plan", "create", "edit", "submit"]
    assert made[2].arguments["root_cause"] == "The sum starts at 1."
    assert made[2].arguments["change"] == "In shop/cart.py, replace `t = 1` by `t = 0`."
    assert said == ""


@pytest.mark.parametrize("answer", ["ann, a maintainer, wants another plan.", "refused: no"])
def test_a_search_has_no_second_plan(answer: str) -> None:
    made, said = played("files", "H1 proposed", answer)
    assert [one.name for one in made][-1] == "plan"
    assert said == "The plan was not approved. The sum starts at 1."


def test_it_knows_by_the_task_that_a_plan_is_wanted() -> None:
    wanted = a_task().model_copy(update={"asking": Asking(plan_wait_s=60.0)})
    assert WANTED in task_prompt(wanted, "pytest", "a.py")
    assert WANTED not in task_prompt(a_task(), "pytest", "a.py")
