"""A proof for a terminal. What others wrote in it is made harmless where it is printed."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import indent

from agent.gate.behaviour import documented_examples, similar_inputs, strength
from agent.gate.hunks import REPRODUCTION
from agent.journal.events import HunkEvidence
from agent.proving.records import RED_THEN_GREEN, ChangeProof, ProofVerdict, ShownTest
from agent.proving.verdict import SUITE

HEADLINES: dict[ProofVerdict, str] = {
    "proven": "Proven: the bug shows without the change and is gone with it; nothing broke.",
    "unproven": "Not proven.",
    "failed": "Failed: something that passed without the change fails with it.",
}
SOMETHING_NEW = (
    "Red then green, but no bug fix: the tests fail without the change only for want of names that "
    "it brings ({names}), so they show something new and not that a bug is gone; nothing broke."
)
_MORE = (documented_examples.NAME, similar_inputs.NAME, strength.NAME)
_NAMED = 20
_WORDS_CHARS = 200


def headline(proof: ChangeProof) -> str:
    """The verdict in a sentence; what only shows something new is never called a bug fix."""
    if proof.verdict == "proven" and proof.shows == "something new":
        return SOMETHING_NEW.format(names=", ".join(proof.wanting[:_NAMED]))
    return HEADLINES[proof.verdict]


def text_report(proof: ChangeProof) -> str:
    """The whole report, the verdict first."""
    lines = [f"{proof.base[:12]} → {proof.head[:12]}: {headline(proof)}"]
    lines += _listed("What is missing", proof.missing)
    lines += _listed("The change brings no test; a model wrote from the issue", _written(proof))
    lines += _listed("Passed without the change, fail with it", proof.broken)
    lines += _listed("Flaky, and not counted", proof.flaky)
    shown = [test for test in proof.tests if test.said == "shows the bug"]
    lines += _listed("Tests that fail without the change and pass with it", _described(shown))
    new = [test for test in proof.tests if test.said == "lacks a new name without the change"]
    titled = "Tests that fail without the change for want of a name that it brings"
    lines += _listed(titled, [f"{test.name}: {test.wanting}" for test in new])
    others = [test for test in proof.tests if test.said not in RED_THEN_GREEN]
    lines += _listed("Other tests of the change", [f"{test.name}: {test.said}" for test in others])
    hunks = proof.judged.hunks if proof.judged is not None else ()
    needed = [f"{h.path}:{h.line}, needed by {needing(h)}" for h in hunks if h.needed_by]
    lines += _listed("Hunks of source that a test needs", needed)
    unneeded = [f"{h.path}:{h.line}" for h in proof.unneeded]
    lines += _listed("Hunks of source that no test needs", unneeded)
    lines += _listed("What else was tried", more_evidence(proof))
    lines += _listed("For a person to look at", [f"{f.rule}: {f.detail}" for f in proof.findings])
    lines += _listed("Not looked at", proof.left_out)
    lines += _listed("Test suite", suite_words(proof))
    return "\n".join(lines)


def needing(hunk: HunkEvidence) -> str:
    """What needs a hunk. Nobody declared a reproduction here: it is what the report has shown."""
    return "what is shown above" if hunk.needed_by == REPRODUCTION else hunk.needed_by


def _written(proof: ChangeProof) -> list[str]:
    """What a model wrote to show the bug: how it is run, and its files."""
    if proof.written is None:
        return []
    files = [f"{path}:\n{indent(text, '    ')}" for path, text in proof.written.files.items()]
    return [f"{proof.written.command}\n    {telling_line(proof.written.observed)}", *files]


def more_evidence(proof: ChangeProof) -> tuple[str, ...]:
    """What documented examples, inputs nearby and small variants of the change gave, if tried."""
    checks = proof.judged.checks if proof.judged is not None else ()
    return tuple(check.detail for check in checks if check.ok and check.name in _MORE)


def suite_words(proof: ChangeProof) -> tuple[str, ...]:
    """The test command, and what the suite's runs on both sides gave."""
    checks = proof.judged.checks if proof.judged is not None else ()
    command = (proof.test_command,) if proof.test_command else ()
    return (*command, *(check.detail for check in checks if check.name == SUITE))


def _described(tests: Sequence[ShownTest]) -> list[str]:
    return [f"{test.name}\n    {telling_line(test.message)}".rstrip() for test in tests]


def telling_line(message: str) -> str:
    """The line of a failure that tells most: the last that pytest marks, else the last."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    marked = [line.removeprefix("E ").strip() for line in lines if line.startswith("E ")]
    return (marked[:1] or lines[-1:] or [""])[0][:_WORDS_CHARS]


def _listed(title: str, items: Sequence[str]) -> list[str]:
    if not items:
        return []
    more = [f"  and {len(items) - _NAMED} more"] if len(items) > _NAMED else []
    return ["", f"{title}:", *(f"  {item}" for item in items[:_NAMED]), *more]
