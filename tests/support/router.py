"""The router of a cluster, and turns through it."""

from __future__ import annotations

ROUTER = "sglang-router==0.3.2"


def turns(count: int, words: int = 40) -> list[dict[str, object]]:
    """That many calls, then the end."""
    calls: list[dict[str, object]] = [
        {
            "reasoning": f"Step {i}. " + "I weigh it. " * words,
            "calls": [{"name": "bash", "arguments": {"command": f"step {i}"}}],
        }
        for i in range(count)
    ]
    return [*calls, {"reasoning": "Done.", "content": "All done."}]
