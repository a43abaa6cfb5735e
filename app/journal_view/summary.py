"""The figures of a run that its page shows above the journal, as records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from agent.journal.events import CommitTried, CulpritSearched, GateJudged, Recorded, SeenTest
from agent.model import Money, Picture

STAGES = (
    "queued",
    "preparing",
    "reproducing",
    "testing hypotheses",
    "proving",
    "publishing",
    "ended",
)
"""The line of phases: the run's own, with those of its furthest attempt between."""
DEBUGGING = STAGES.index("reproducing")
"""The run as a whole stays in this phase while its attempts continue."""


@dataclass(frozen=True, slots=True)
class Node:
    """A hypothesis in the tree."""

    attempt: int
    id: str
    claim: str
    prediction: str
    test: str
    seq: int
    verdict: Literal["open", "confirmed", "refuted", "abandoned"] = "open"
    evidence: str = ""
    calls: tuple[tuple[str, int], ...] = ()
    """The tool calls that are its evidence, with where they are in the journal (-1: nowhere)."""
    parent: str = ""
    """The confirmed hypothesis that it builds on: rolling back keeps what that one changed."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A hypothesis with those that build on it."""

    node: Node
    below: tuple[Branch, ...]


@dataclass(frozen=True, slots=True)
class TurnPoint:
    """Tokens of one turn."""

    prompt: int
    cached: int
    completion: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state of the tree that can be compared with others."""

    attempt: int
    id: str
    log_id: str
    why: str

    @property
    def key(self) -> str:
        """As addresses name it."""
        return f"{self.attempt}-{self.id}"

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.why} ({self.id[:8]})"


@dataclass(frozen=True, slots=True)
class Search:
    """A search for the commit that broke it."""

    tries: tuple[CommitTried, ...] = ()
    answer: CulpritSearched | None = None


@dataclass(slots=True)
class RunSummary:
    """The figures of a run so far; grows event by event."""

    seq: int = -1
    phase: str = "queued"
    doing: str = ""
    attempts: int = 0
    nodes: dict[tuple[int, str], Node] = field(default_factory=dict)
    points: list[TurnPoint] = field(default_factory=list)
    snapshots: dict[tuple[int, str], Snapshot] = field(default_factory=dict)
    calls: dict[int, int] = field(default_factory=dict)
    """Tool calls per attempt."""
    places: dict[tuple[int, str], int] = field(default_factory=dict)
    before: dict[str, str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)
    """Outcome per test, where it was seen first and last."""
    reproduction: str = ""
    """The command that was seen to fail."""
    gate: GateJudged | None = None
    stages: dict[int, int] = field(default_factory=dict)
    """Per attempt, how far it is: an index of `STAGES`; 0: the run as a whole."""
    diagnosis: str = ""
    model_s: float = 0.0
    costs: dict[str, float] = field(default_factory=dict)
    """What its turns cost, by currency."""
    waiting: str = ""
    hints: int = 0
    ended_at: datetime | None = None
    searches: dict[int, Search] = field(default_factory=dict)
    """Per attempt, its last search for the commit that broke it."""
    outcome: str = ""
    base_commit: str = ""
    kept_change: bool = False
    """Whether a change to its pull request is kept that could not be pushed."""
    models: tuple[str, ...] = ()
    images: tuple[Picture, ...] = ()
    """Those of the issue."""
    images_shown: bool = False
    """Whether a model sees them."""
    reached: frozenset[int] = frozenset({0})
    """All stages that any attempt reached."""

    @property
    def prompt(self) -> int:
        """Tokens read in all."""
        return sum(p.prompt for p in self.points)

    @property
    def cached(self) -> int:
        """Tokens read that the server's cache had."""
        return sum(p.cached for p in self.points)

    @property
    def completion(self) -> int:
        """Tokens written in all."""
        return sum(p.completion for p in self.points)

    @property
    def cost(self) -> str:
        """What it cost, for people; empty: no turn had a price."""
        each = (Money(amount=amount, currency=name) for name, amount in self.costs.items())
        return " + ".join(map(str, each))

    @property
    def cached_share(self) -> float:
        """Part of the prompts that the cache served, 0 to 1."""
        return self.cached / self.prompt if self.prompt else 0.0

    @property
    def most_calls(self) -> int:
        """Calls of the attempt that made most."""
        return max(self.calls.values(), default=0)

    @property
    def stage(self) -> int:
        """Where the run is: an index of `STAGES`."""
        whole = self.stages.get(0, 0)
        return max(self.stages.values(), default=0) if whole == DEBUGGING else whole

    @property
    def tree(self) -> tuple[tuple[int, tuple[Branch, ...]], ...]:
        """Per attempt its hypotheses, each below the one that it builds on."""
        attempts = sorted({attempt for attempt, _ in self.nodes})
        return tuple((a, self._below(a, "")) for a in attempts)

    def _below(self, attempt: int, parent: str) -> tuple[Branch, ...]:
        children = [
            node
            for node in self.nodes.values()
            if (node.attempt, self._parent(node)) == (attempt, parent)
        ]
        return tuple(Branch(node, self._below(attempt, node.id)) for node in children)

    def _parent(self, node: Node) -> str:
        # Only what was proposed earlier is above: whatever the journal says, the tree ends.
        above = self.nodes.get((node.attempt, node.parent))
        return node.parent if above is not None and above.seq < node.seq else ""

    def tests(self) -> list[SeenTest]:
        """The reproduction, then the tests that changed or do not pass on both sides.

        As the gate saw them in fresh sandboxes; before that, as the run's own calls did.
        """
        checks = self.gate.checks if self.gate else ()
        of_gate = [test for check in checks for test in check.tests]
        own = [
            SeenTest(name=name, before=self.before[name], after=now)
            for name, now in sorted(self.after.items())
            if now != self.before[name] or now in ("failed", "error")
        ]
        proved = next((c for c in checks if c.name == "reproduction"), None)
        after = ("passed" if proved.ok else "failed") if proved else ""
        first = SeenTest(name=self.reproduction, before="failed", after=after)
        return ([first] if self.reproduction else []) + (of_gate if self.gate else own)


_OF_PHASE = {"queued": 0, "preparing": 1, "debugging": DEBUGGING, "publishing": 5}


def fold_into(head: RunSummary, recorded: Recorded) -> None:
    """Update a head with one more event."""
    event, attempt = recorded.event, recorded.event.attempt
    head.seq = recorded.seq
    if event.type != "model_waiting":
        head.waiting = ""
    match event.type:
        case "run_phase":
            head.phase, head.doing = event.phase, event.detail
            _reach_stage(head, 0, _OF_PHASE.get(event.phase, head.stages.get(0, 0)))
        case "attempt_started":
            head.attempts = max(head.attempts, attempt)
            head.doing = f"attempt {attempt} with {event.model}"
            _reach_stage(head, attempt, STAGES.index("reproducing"))
            head.base_commit = event.base_commit
            head.models = tuple(dict.fromkeys((*head.models, event.model)))
            head.images = tuple(dict.fromkeys((*head.images, *event.pictures)))
            head.images_shown = head.images_shown or event.pictures_shown
            for name in event.base_failures:
                head.before.setdefault(name, "failed")
        case "model_turned":
            use = event.usage
            head.points.append(
                TurnPoint(use.prompt_tokens, use.cached_tokens, use.completion_tokens)
            )
            head.model_s += event.duration_ms / 1000
            _add_cost(head, event.cost)
        case "setup_tried":
            _add_cost(head, event.cost)
        case "tool_started":
            head.doing = f"attempt {attempt}: {event.name}"
            if event.name == "submit":
                _reach_stage(head, attempt, STAGES.index("proving"))
        case "tool_finished":
            head.calls[attempt] = head.calls.get(attempt, 0) + 1
            head.places[attempt, event.call_id] = recorded.seq
            for name, outcome in (event.tests or {}).items():
                head.before.setdefault(name, outcome)
                head.after[name] = outcome
        case "reproduction_declared":
            if event.accepted:
                head.reproduction = event.command
                _reach_stage(head, attempt, STAGES.index("testing hypotheses"))
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
            if event.verdict not in ("proven", "contested"):
                _reach_stage(head, attempt, STAGES.index("testing hypotheses"))
        case "commit_tried":
            before = head.searches.get(attempt, Search())
            tries = () if before.answer else before.tries  # another search begins
            head.searches[attempt] = Search((*tries, event))
            head.doing = f"attempt {attempt}: looks for the commit that broke it"
        case "culprit_searched":
            before = head.searches.get(attempt, Search())
            head.searches[attempt] = replace(before, answer=event)
        case "question_asked":
            head.doing = f"attempt {attempt}: waits for an answer"
        case "question_answered":
            head.doing = f"attempt {attempt}: has its answer"
        case "note_added":
            head.hints += event.source == "human"
        case "model_waiting":
            head.waiting = event.reason
        case "attempt_ended":
            head.diagnosis = event.diagnosis or head.diagnosis
            head.doing = f"attempt {attempt} ended: {event.outcome}"
        case "publication_step":
            if event.change and event.step != "tell":
                head.kept_change = event.status == "refused"
        case "run_ended":
            head.phase, head.doing, head.ended_at = "ended", "", recorded.at
            head.outcome = event.outcome
            _reach_stage(head, 0, STAGES.index("ended"))
            head.diagnosis = event.diagnosis or head.diagnosis
        case _:
            pass


def _add_cost(head: RunSummary, cost: Money | None) -> None:
    if cost is not None:
        head.costs[cost.currency] = head.costs.get(cost.currency, 0.0) + cost.amount


def summarise_journal(journal: Iterable[Recorded]) -> RunSummary:
    """The head of a complete journal."""
    head = RunSummary()
    for recorded in journal:
        fold_into(head, recorded)
    return head


def _reach_stage(head: RunSummary, attempt: int, stage: int) -> None:
    head.stages[attempt] = stage
    head.reached |= {stage}
