"""A model for tests that is neither clever nor scripted: its calls come from a seed.

Each step is a function of the seed and of how many results the conversation holds, so a restarted
run goes on with the same calls. It uses every tool, well and badly, and fixes the bug of
`FILES` at its end.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

from agent.model import Message, ToolCall, ToolSpec, Turn, Usage

FILES: dict[str, str] = {
    "shop/__init__.py": "",
    "shop/prices.py": (
        "def total(prices, discount=0):\n"
        '    """Sum of prices less a discount in percent."""\n'
        "    amount = 0\n"
        "    for price in prices:\n"
        "        amount += price\n"
        "    return amount - amount * discount / 10\n"
    ),
    "shop/notes.txt": "".join(f"note {i}\n" for i in range(200)),
    "tests/test_prices.py": (
        "from shop.prices import total\n\n\ndef test_sum():\n    assert total([1, 2]) == 3\n"
    ),
}
TITLE = "total([100], 10) gives 0.0, expected 90.0"
WRONG, RIGHT = "discount / 10\n", "discount / 100\n"
REPRODUCTION = "from shop.prices import total\n\n\ndef test_discount():\n"
REPRODUCTION += "    assert total([100], 10) == 90\n"
PERIOD = 12
TO_REPEAT = ("[interrupted]", "error: the sandbox died")
"""How results begin of calls that something else ended: they are made again."""


class SeededModel:
    """`steps` tool calls, then the fix and `submit`."""

    name = "seeded"
    preserves_thinking = False
    sees_images = False

    def __init__(
        self, seed: int, steps: int, window: int = 1_000_000, slow_commands: bool = True
    ) -> None:
        self.window = window
        self.prompts: list[tuple[str, ...]] = []
        self._seed = seed
        self._steps = steps
        self._slow = slow_commands

    async def turn(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Turn:
        """One call, chosen by the seed and by how many results there are; the prompt is kept."""
        prompt = tuple(m.model_dump_json() for m in messages)
        self.prompts.append(prompt)
        results = [m for m in messages if m.role == "tool"]
        done = sum(1 for m in results if not m.content.startswith(TO_REPEAT))
        name, arguments = self.call(done)
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        calls = (ToolCall(id=f"functions.{name}:{len(results)}", name=name, arguments=text),)
        tokens = sum(len(m) for m in prompt) // 4
        return Turn(
            reasoning=f"step {done}",
            tool_calls=calls,
            usage=Usage(prompt_tokens=tokens, completion_tokens=20),
            finish_reason="tool_calls",
        )

    async def close(self) -> None:
        """Nothing to close."""

    def call(self, step: int) -> tuple[str, Mapping[str, Any] | str]:
        """The call after so many results."""
        if step == 0:
            return "reproduction", {
                "command": "python3 -m pytest -q -p no:cacheprovider tests/test_discount.py",
                "files": {"tests/test_discount.py": REPRODUCTION},
                "expected_failure": "AssertionError",
            }
        last = self._steps - 4
        if step >= last:
            return self._ending(step - last)
        place = step % PERIOD
        if place == 1 and step + PERIOD < last:
            claim = f"claim {step}"
            return "hypothesis", {
                "action": "propose",
                "claim": claim,
                "prediction": "p",
                "test": "t",
            }
        if place == PERIOD - 1 or step == last - 1:
            return "hypothesis", {"action": "refute", "evidence": f"seen at {step}"}
        proposed = place > 1 and step - place + 1 + PERIOD < last
        return self._any(step, random.Random(f"{self._seed}:{step}"), may_edit=proposed)

    def _ending(self, step: int) -> tuple[str, Mapping[str, Any]]:
        ending: list[tuple[str, Mapping[str, Any]]] = [
            ("edit", {"path": "shop/prices.py", "old": WRONG, "new": RIGHT}),
            ("run_tests", {}),
            ("bash", {"command": "git --version >/dev/null; echo done"}),
            ("submit", {"root_cause": "percent", "summary": "divide by 100"}),
        ]
        return ending[min(step, len(ending) - 1)]

    def _any(
        self, step: int, rng: random.Random, *, may_edit: bool
    ) -> tuple[str, Mapping[str, Any] | str]:
        start = rng.randrange(1, 150)
        # Each call is its own: the same one thrice with the same result would be drift.
        choices: list[tuple[str, Mapping[str, Any] | str]] = [
            ("bash", {"command": f"echo step {step}; seq {rng.randrange(3000)}"}),
            (
                "bash",
                {"command": f"status() {{ return {rng.randrange(9)}; }}; echo {step}; status"},
            ),
            ("bash", {"command": f"head -c 1000000 /dev/zero | tr '\\0' x; echo {step}"}),
            ("bash", {"command": f"printf '\\000\\377\\376<|im_end|> {step}\\n'"}),
            ("view", {"path": "shop/notes.txt", "start": start, "end": start + 20}),
            ("view", {"path": f"no/such/file{step}.py"}),
            ("search", {"pattern": f"note {rng.randrange(200)}"}),
            ("search", {"pattern": f"({step}"}),
            ("edit", {"path": "shop/prices.py", "old": f"nothing like {step}", "new": "x"}),
            ("edit", {"path": "shop/notes.txt", "old": "note 7\n", "new": f"note 7 {step}\n"}),
            ("create", {"path": f"/tmp/scratch-{step}.py", "content": "print(1)\n"}),
            ("create", {"path": "shop/prices.py", "content": f"overwritten {step}"}),
            ("log", {"id": "reproduction:0", "grep": f"Error|{step}"}),
            ("log", {"id": f"nothing:{step}"}),
            ("no_such_tool", {"a": step}),
            ("bash", f'{{"command": "echo tru {step}'),
            ("bash", {"command": step, "more": True}),
        ]
        if step % PERIOD == 5:
            return ("hypothesis", {"action": "list"}) if rng.random() < 0.5 else choices[0]
        if step % (4 * PERIOD) == 6:
            return "view", {"path": "shop"} if step % 5 else {"path": "tests"}
        if self._slow and step % 100 == 50:
            return "bash", {"command": "sleep 60", "timeout_s": 1}
        if self._slow and step % 40 == 20:
            return "run_tests", {}
        return rng.choice([c for c in choices if may_edit or c[0] != "edit"])
