"""What the head of a run's page shows: gathered from the journal once, then only carried on.

A journal of thousands of events is read in windows; what is kept of it is small and stays in this
process, so that a page that is open again costs only the events that came since.
"""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace

from agent.journal.events import Recorded
from app.journal_view.summary import DEBUGGING, STAGES, Head, Node, Snapshot, TurnPoint
from app.storage.archive import Journals

WINDOW = 500
"""Events read at once."""
KEPT_RUNS = 64
"""Heads kept in this process."""
_OF_PHASE = {"queued": 0, "preparing": 1, "debugging": DEBUGGING, "publishing": 5}


def carry_on(head: Head, recorded: Recorded) -> None:
    """Take one more event into a head."""
    event, attempt = recorded.event, recorded.event.attempt
    head.seq = recorded.seq
    if event.type != "model_waiting":
        head.waiting = ""
    match event.type:
        case "run_phase":
            head.phase, head.doing = event.phase, event.detail
            _come_to(head, 0, _OF_PHASE.get(event.phase, head.stages.get(0, 0)))
        case "attempt_started":
            head.attempts = max(head.attempts, attempt)
            head.doing = f"attempt {attempt} with {event.model}"
            _come_to(head, attempt, STAGES.index("reproducing"))
            head.base_commit = event.base_commit
            head.models = tuple(dict.fromkeys((*head.models, event.model)))
            for name in event.base_failures:
                head.before.setdefault(name, "failed")
        case "model_turned":
            use = event.usage
            head.points.append(
                TurnPoint(use.prompt_tokens, use.cached_tokens, use.completion_tokens)
            )
            head.model_s += event.duration_ms / 1000
        case "tool_started":
            head.doing = f"attempt {attempt}: {event.name}"
            if event.name == "submit":
                _come_to(head, attempt, STAGES.index("proving"))
        case "tool_finished":
            head.calls[attempt] = head.calls.get(attempt, 0) + 1
            head.places[attempt, event.call_id] = recorded.seq
            for name, outcome in (event.tests or {}).items():
                head.before.setdefault(name, outcome)
                head.after[name] = outcome
        case "reproduction_declared":
            if event.accepted:
                head.reproduction = event.command
                _come_to(head, attempt, STAGES.index("testing hypotheses"))
        case "hypothesis_proposed":
            held = (n.id for (a, _), n in head.nodes.items() if a == attempt)
            confirmed = [i for i in held if head.nodes[attempt, i].verdict == "confirmed"]
            head.nodes[attempt, event.hypothesis] = Node(
                attempt,
                event.hypothesis,
                event.claim,
                event.prediction,
                event.test,
                recorded.seq,
                parent=confirmed[-1] if confirmed else "",
            )
        case "hypothesis_resolved":
            node = head.nodes.get((attempt, event.hypothesis))
            if node is not None:
                calls = tuple((c, head.places.get((attempt, c), -1)) for c in event.calls)
                head.nodes[attempt, event.hypothesis] = replace(
                    node, verdict=event.verdict, evidence=event.evidence, calls=calls
                )
        case "snapshot_taken":
            head.snapshots[attempt, event.snapshot] = Snapshot(
                attempt, event.snapshot, event.patch_log, event.why
            )
        case "gate_judged":
            head.gate = event
            if event.verdict != "proven":
                _come_to(head, attempt, STAGES.index("testing hypotheses"))
        case "note_added":
            head.hints += event.source == "human"
        case "model_waiting":
            head.waiting = event.reason
        case "attempt_ended":
            head.diagnosis = event.diagnosis or head.diagnosis
            head.doing = f"attempt {attempt} ended: {event.outcome}"
        case "run_ended":
            head.phase, head.doing, head.ended_at = "ended", "", recorded.at
            head.outcome = event.outcome
            _come_to(head, 0, STAGES.index("ended"))
            head.diagnosis = event.diagnosis or head.diagnosis
        case _:
            pass


def head_of(journal: Iterable[Recorded]) -> Head:
    """The head of a journal that is at hand as a whole."""
    head = Head()
    for recorded in journal:
        carry_on(head, recorded)
    return head


def _come_to(head: Head, attempt: int, stage: int) -> None:
    head.stages[attempt] = stage
    head.reached |= {stage}


class Heads:
    """The heads of the runs that were looked at lately; safe from several threads."""

    def __init__(self, journals: Journals) -> None:
        self._journals = journals
        self._lock = threading.Lock()
        self._heads: OrderedDict[str, Head] = OrderedDict()

    def of(self, run_id: str) -> Head:
        """The run's head now: a copy, which the caller may keep."""
        with self._lock:
            head = self._heads.pop(run_id, None) or Head()
            self._heads[run_id] = head
            while len(self._heads) > KEPT_RUNS:
                self._heads.popitem(last=False)
            while more := self._journals.events(run_id, after=head.seq, limit=WINDOW):
                for recorded in more:
                    carry_on(head, recorded)
                if len(more) < WINDOW:
                    break
            return _copied(head)


def _copied(head: Head) -> Head:
    kept = copy.copy(head)
    for name in ("nodes", "points", "snapshots", "calls", "places", "stages", "before", "after"):
        setattr(kept, name, copy.copy(getattr(head, name)))
    return kept
