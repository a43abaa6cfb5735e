"""The seeded policy of the loop's tests as what the stand-in's model says."""

from __future__ import annotations

import json

from tests.doubles.seeded_policy import TO_REPEAT, SeededModel
from tests.doubles.sglang.turns import Call, Policy, Request, Say


def seeded(seed: int, steps: int) -> Policy:
    """`steps` tool calls that use every tool, well and badly, then the fix and `submit`."""
    model = SeededModel(seed, steps, slow_commands=False)

    def policy(request: Request) -> Say:
        results = [m["content"] for m in request["messages"] if m["role"] == "tool"]
        done = sum(not result.startswith(TO_REPEAT) for result in results)
        name, arguments = model.call(done)
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        return Say(reasoning=f"Step {done}. " + "I weigh it. " * 10, calls=(Call(name, text),))

    return policy
