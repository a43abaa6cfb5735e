"""Where the maintainers want a plan, the search proposes its first change before it makes it."""

from __future__ import annotations

from collections.abc import Callable

from agent.models.offline.protocol import Call, Steps

WANTED = "The maintainers want to see a plan before the code changes"
"""How the task prompt says so."""
_LONGEST = 1400


def with_plan(steps: Steps[str], make_ready: Callable[[], Steps[None]]) -> Steps[str]:
    """The same search, which waits for approval before its first edit.

    `make_ready` brings what it needs outside the tree: after the wait the sandbox is another one.

    It has no second plan: what it would do next depends on what the first change does.
    """
    claim = "It was not found."
    try:
        request = next(steps)
        while True:
            if request.name == "hypothesis" and request.arguments.get("claim"):
                claim = str(request.arguments["claim"])
            if request.name == "edit":
                answer = yield _proposal(request, claim)
                if answer.text.startswith("[interrupted]"):
                    continue
                if not answer.accepted or "approved the plan" not in answer.text:
                    return f"The plan was not approved. {claim}"
                yield from make_ready()
                break
            request = steps.send((yield request))
        request = steps.send((yield request))
        while True:
            request = steps.send((yield request))
    except StopIteration as ended:
        return str(ended.value)


def _proposal(edit: Call, claim: str) -> Call:
    path, old, new = (str(edit.arguments.get(name, "")) for name in ("path", "old", "new"))
    change = f"In {path}, replace `{_on_a_line(old)}` by `{_on_a_line(new)}`."
    return Call(
        "plan",
        {
            "root_cause": claim[:_LONGEST],
            "change": change[:_LONGEST],
            "risk": "If the gate does not prove it, other small changes of its kind are tried.",
        },
        "The maintainers want to see what is to be changed.",
    )


def _on_a_line(text: str) -> str:
    return " ".join(text.split())[: _LONGEST // 3]
