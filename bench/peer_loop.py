"""mini-swe-agent's loop on the commands of `bench/loop_overhead.py`; run by that peer's own Python.

    PEER/bin/python bench/peer_loop.py URL IMAGE STEPS

Prints one line of JSON: wall and processor seconds (with those of the commands that it starts), and
the milliseconds of each step.
"""

from __future__ import annotations

import itertools
import json
import os
import resource
import sys
import time
from typing import Any

os.environ["MSWEA_SILENT_STARTUP"] = "1"
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks the network for prices

from minisweagent.agents.default import DefaultAgent  # type: ignore[import-not-found]
from minisweagent.environments.docker import DockerEnvironment  # type: ignore[import-not-found]
from minisweagent.models.litellm_model import LitellmModel  # type: ignore[import-not-found]


def cpu_s() -> float:
    """Processor seconds of this process and of the children that have ended."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


class Timed(DefaultAgent):  # type: ignore[misc]
    """Notes when each step ends."""

    def step(self) -> list[dict[str, Any]]:
        """As the peer does it."""
        done: list[dict[str, Any]] = super().step()
        ended.append(time.perf_counter())
        return done


ended: list[float] = []


def main(url: str, image: str, steps: int) -> None:
    """Run to the step limit, and print what it took."""
    given = {"api_base": url, "api_key": "none"}
    model = LitellmModel(
        model_name="openai/instant", model_kwargs=given, cost_tracking="ignore_errors"
    )
    environment = DockerEnvironment(image=image, interpreter=["bash", "-c"])
    agent = Timed(
        model,
        environment,
        system_template="You debug.",
        instance_template="{{task}}",
        step_limit=steps,
        cost_limit=0.0,
    )
    begun, used = time.perf_counter(), cpu_s()
    ended.append(begun)
    agent.run("bench")
    wall, cpu = time.perf_counter() - begun, cpu_s() - used
    environment.cleanup()
    steps_ms = [(b - a) * 1000 for a, b in itertools.pairwise(ended)]
    print(json.dumps({"wall_s": wall, "cpu_s": cpu, "steps_ms": steps_ms}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
