"""`bash`: a command in the sandbox's persistent shell."""

from __future__ import annotations

from pydantic import Field

from agent.text.control_tokens import restore
from agent.tools.tool import Arguments, Reply, ToolContext
from sandbox.protocol import CommandResult


class BashArguments(Arguments):
    """A command."""

    command: str = Field(description="Bash command; directory and variables carry over.")
    timeout_s: int = Field(120, ge=1, le=1800, description="Seconds after which it is killed.")


async def bash(context: ToolContext, args: BashArguments) -> Reply:
    """Run the command; a status other than 0 is a result like any other, not an error."""
    limit = min(float(args.timeout_s), context.time_left_s)
    result = await context.sandbox.run(restore(args.command), timeout_s=limit)
    body = result.text.rstrip("\n")
    text = f"{body}\n{ending(result)}" if body else ending(result)
    return Reply(text=text, status="timeout" if result.timed_out else "ok", changed_tree=True)


def ending(result: CommandResult) -> str:
    """The line that says how a command ended."""
    if result.timed_out:
        return f"[killed after {result.duration_s:.0f} s]"
    return f"[exit {result.exit_code}]"
