"""The answer for a terminal. What others wrote in it is made harmless where it is printed."""

from __future__ import annotations

from agent.bisection.records import Bisection, Commit, day_of
from app.bisection.command import BisectAnswer

_SHOWN = 20


def text_report(answer: BisectAnswer) -> str:
    """The whole report, the answer first."""
    found, commits = answer.bisection, {commit.id: commit for commit in answer.commits}
    spent = f"{found.runs} runs over {found.commits} commits"
    skipped = sum(trial.outcome == "skipped" for trial in found.trials)
    spent += f", {skipped} of them at commits where it cannot be run" if skipped else ""
    return "\n".join((*_answer(found, commits), f"({spent})"))


def _answer(found: Bisection, commits: dict[str, Commit]) -> list[str]:
    match found.finding:
        case "found":
            passes = ", ".join(each[:12] for each in found.last_good)
            return [f"Introduced by {_named(commits[found.culprit])}", f"It passes at {passes}."]
        case "since_beginning":
            oldest = _named(commits[found.culprit])
            return ["It fails since the beginning of what is known:", f"  {oldest}"]
        case "contradiction":
            return [
                "There is no first bad commit: it passes at a commit though it fails at an older "
                "one. Name a commit at which it worked with --good."
            ]
    reason = {
        "range": "One of these introduced it; between them it cannot be run:",
        "unfinished": "The limits came first. One of these introduced it:",
    }[found.finding]
    shown = [f"  {_named(commits[each])}" for each in found.suspects[:_SHOWN] if each in commits]
    more = len(found.suspects) - len(shown)
    return [reason, *shown, *([f"  and {more} more"] if more else [])]


def _named(commit: Commit) -> str:
    return f"{commit.id[:12]} ({day_of(commit.at)}, {commit.author}): {commit.subject}"
