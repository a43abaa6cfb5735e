"""`python -m tests.doubles.sglang --port 30000 --script turns.json`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

import uvicorn

from tests.doubles.sglang.chaos import KINDS, PASSING, Chaos
from tests.doubles.sglang.latency import HARDWARE, Latency
from tests.doubles.sglang.prompts import TEMPLATES
from tests.doubles.sglang.seeded import seeded
from tests.doubles.sglang.server import Flags, Server, StandIn
from tests.doubles.sglang.turns import load


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="python -m tests.doubles.sglang", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=30000)
    says = parser.add_mutually_exclusive_group(required=True)
    says.add_argument("--script", type=Path, help="JSON or YAML; see turns.py")
    says.add_argument("--seeded", metavar="SEED:STEPS", help="calls from a seed; see seeded.py")
    parser.add_argument("--api-key", default="")
    parser.add_argument("--context-length", type=int, default=262_144)
    parser.add_argument("--model", default=Flags.model)
    parser.add_argument("--template", choices=sorted(TEMPLATES), default=Flags.template)
    parser.add_argument("--parsers", choices=("kimi_k2", "kimi_k3"), default="")
    parser.add_argument("--server", choices=get_args(Server), default=Flags.server)
    parser.add_argument("--llama-cpp", action="store_true", help="list and refuse as llama.cpp")
    parser.add_argument("--no-tool-call-parser", action="store_true")
    parser.add_argument("--no-reasoning-parser", action="store_true")
    parser.add_argument("--no-cache-report", action="store_true")
    parser.add_argument("--fault-share", type=float, default=0.0, help="share of faulty requests")
    parser.add_argument("--faults", default=",".join(PASSING), help="kinds, with commas")
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    parser.add_argument("--hardware", choices=sorted(HARDWARE), default="8xH200-int4")
    parser.add_argument(
        "--time-scale", type=float, default=0.0, help="real seconds per virtual one; 0: at once"
    )
    parser.add_argument("--cache-tokens", type=int, default=0, help="0: nothing is evicted")
    given = parser.parse_args()
    if unknown := set(given.faults.split(",")) - set(KINDS):
        parser.error(f"no such faults: {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
    flags = Flags(
        tool_call_parser=not given.no_tool_call_parser,
        reasoning_parser=not given.no_reasoning_parser,
        enable_cache_report=not given.no_cache_report,
        context_length=given.context_length,
        api_key=given.api_key,
        model=given.model,
        template=given.template,
        parsers=given.parsers,
        server=given.server,
        llama_cpp=given.llama_cpp,
    )
    if given.seeded:
        seed, _, steps = given.seeded.partition(":")
        policy = seeded(int(seed), int(steps))
    else:
        policy = load(given.script)
    worker = StandIn(
        policy,
        flags,
        Chaos(given.seed, given.fault_share, given.faults.split(",")),
        Latency(HARDWARE[given.hardware], given.time_scale),
        cache_tokens=given.cache_tokens,
    )
    uvicorn.run(worker.app, host=given.host, port=given.port, log_level="warning", lifespan="off")


if __name__ == "__main__":
    main()
