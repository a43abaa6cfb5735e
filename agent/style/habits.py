"""What a project's own fixes nearly always touch, in sentences, and whether a patch does too."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from agent.task import Habit


def habit_sentence(habit: Habit) -> str:
    """What was counted."""
    share = f"{habit.touched} of the last {habit.of} fixes"
    named = " or ".join(habit.paths)
    if habit.kind == "changelog entry":
        example = f", such as {habit.example}" if habit.example else ""
        return f"{share} added a file to {named}{example}."
    if habit.kind == "docs":
        return f"{share} touched a document in {named}."
    return f"{share} touched {named}."


def keeps(habit: Habit, changed: Collection[str]) -> bool:
    """Whether a patch that changes these files does as the others did."""
    return any(
        path.startswith(wanted) if wanted.endswith("/") else path == wanted
        for path in changed
        for wanted in habit.paths
    )


def missed(habits: Sequence[Habit], changed: Collection[str]) -> list[Habit]:
    """The habits that a patch does not keep."""
    return [habit for habit in habits if not keeps(habit, changed)]
