"""The journal's events: everything that happens in a run, as immutable typed records.

State is a fold over these (`agent.journal.state`). The model's messages, the dashboard, the export
and the evaluation all read the same journal. Events are versioned as a whole by `SCHEMA`; a field
may be added with a default, never renamed or given another meaning.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from agent.model import ExternalTool, Money, Picture, Record, ToolCall, Turn, Usage

SCHEMA = 1


class Event(Record):
    """Base of all events: which attempt of the run it belongs to (0: the run as a whole)."""

    attempt: int = 1


class AttemptStarted(Event):
    """An attempt begins; its prompts are kept whole, so that they never change under it."""

    type: Literal["attempt_started"] = "attempt_started"
    model: str
    prompt_version: str
    base_commit: str
    system_prompt: str
    task_prompt: str
    test_command: str
    base_failures: tuple[str, ...] = ()
    """Tests that fail before anything was changed."""
    seed: int = 0
    pictures: tuple[Picture, ...] = ()
    """Images that came with the issue."""
    pictures_shown: bool = False
    """Whether the model is shown them: it can see."""
    external_tools: tuple[ExternalTool, ...] = ()
    """The operator's tools, as the model is told of them to the attempt's end."""
    external_missing: tuple[str, ...] = ()
    """Why tools that were meant to be among them are not, in sentences."""


class SandboxOpened(Event):
    """The attempt has a sandbox: the first, or another after the last one died."""

    type: Literal["sandbox_opened"] = "sandbox_opened"
    sandbox_id: str
    reason: Literal["start", "resumed", "rebuilt"] = "start"


class ModelTurned(Event):
    """The model answered; a turn that is not `kept` is shown to people but never sent back."""

    type: Literal["model_turned"] = "model_turned"
    reasoning: str = ""
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    finish_reason: str = "stop"
    warnings: tuple[str, ...] = ()
    duration_ms: int = 0
    waited_ms: int = 0
    """Before the turn, for an operator, the day's tokens or room in the servers' caches."""
    kept: bool = True
    cost: Money | None = None
    """At the prices of that moment, which later ones do not change; None: the model had none."""

    @classmethod
    def of(cls, turn: Turn, took_s: float, preserves_thinking: bool = False) -> ModelTurned:
        """The event of a turn; one without a tool call is kept if that costs no thinking."""
        answered = turn.finish_reason == "stop" and bool(turn.content.strip())
        return cls(
            reasoning=turn.reasoning,
            content=turn.content,
            tool_calls=turn.tool_calls,
            usage=turn.usage,
            finish_reason=turn.finish_reason,
            warnings=turn.warnings,
            duration_ms=int((took_s - turn.waited_s) * 1000),
            waited_ms=int(turn.waited_s * 1000),
            cost=turn.cost,
            kept=bool(turn.tool_calls) or (answered and preserves_thinking),
        )


class ToolStarted(Event):
    """A tool call is about to run."""

    type: Literal["tool_started"] = "tool_started"
    call_id: str
    name: str
    arguments: str


ToolStatus = Literal["ok", "error", "refused", "timeout", "interrupted"]


class ToolFinished(Event):
    """A tool call has its result; `output` is what the model sees, the whole is under `log_id`."""

    type: Literal["tool_finished"] = "tool_finished"
    call_id: str
    name: str
    status: ToolStatus
    output: str
    log_id: str = ""
    digest: str = ""
    """Hash of the whole result, to notice the same call giving the same result."""
    duration_ms: int = 0
    changed_tree: bool = False
    tests: dict[str, str] | None = None
    """Outcome per test where the call ran tests: passed, failed, error, skipped."""
    pictures: tuple[Picture, ...] = ()
    """Images that the call asked for; they are shown after the turn's last result."""

    @property
    def first_line(self) -> str:
        """The first line of the output, without the status that it may begin with."""
        first = self.output.lstrip().partition("\n")[0]
        return first.removeprefix(f"{self.status}: ")


class HypothesisProposed(Event):
    """A hypothesis is under test; the tree can be rolled back to `snapshot`."""

    type: Literal["hypothesis_proposed"] = "hypothesis_proposed"
    hypothesis: str
    """Its id, H1, H2 …"""
    claim: str
    prediction: str
    test: str
    snapshot: str


class HypothesisResolved(Event):
    """A hypothesis was confirmed or refuted by evidence from named tool calls."""

    type: Literal["hypothesis_resolved"] = "hypothesis_resolved"
    hypothesis: str
    verdict: Literal["confirmed", "refuted", "abandoned"]
    evidence: str
    calls: tuple[str, ...] = ()


class SnapshotTaken(Event):
    """The tree's state, so that it survives the sandbox: `patch_log` holds it against the base."""

    type: Literal["snapshot_taken"] = "snapshot_taken"
    snapshot: str
    patch_log: str
    why: str


class TreeRestored(Event):
    """The tree was rolled back to a snapshot."""

    type: Literal["tree_restored"] = "tree_restored"
    snapshot: str
    why: str


class ReproductionDeclared(Event):
    """The command that shows the bug, with the files it needs, and what it did when it was run."""

    type: Literal["reproduction_declared"] = "reproduction_declared"
    command: str
    files: dict[str, str] = Field(default_factory=dict)
    """Files of the reproduction, path → content; part of the patch if under the tree."""
    expected_failure: str
    """Words that the failing output must hold, e.g. an exception or assertion."""
    observed: str
    accepted: bool
    runs: int = 1
    failures: int = 1
    """Of `runs` runs, how many failed as claimed: fewer means flaky."""
    why_none: str = ""
    """Given instead of a command: why no reproduction is possible (the result is a draft)."""


class ContestedTest(Record):
    """An existing test of which the model says that it contradicts the issue."""

    test: str
    """As the suite names it, without parameters: `tests/test_a.py::TestB::test_c`."""
    reason: str
    diff: str = ""
    """The change of its file; the gate fills it in."""
    renamed: str = ""
    """Its name with the patch where that is another one; the gate fills it in."""


class HunkReason(Record):
    """Why a hunk belongs to the patch though no test needs it."""

    hunk: str
    """`path:line`, as the gate named it."""
    reason: str


class Submitted(Event):
    """The model calls the work done."""

    type: Literal["submitted"] = "submitted"
    root_cause: str
    summary: str
    patch: str
    risk: str = ""
    contested: tuple[ContestedTest, ...] = ()
    hunks: tuple[HunkReason, ...] = ()


class SeenTest(Record):
    """A test's outcome on both sides of the patch; empty: it did not run there."""

    name: str
    before: str
    after: str


class SideCounts(Record):
    """What one side of a patch gave, as the gate counted it.

    Of the reproduction: its runs, those that failed as claimed and those that passed. Of the suite:
    how often it ran, and each test once, by its worst outcome.
    """

    runs: int
    passed: int = 0
    failed: int = 0
    error: int = 0
    skipped: int = 0


class Check(Record):
    """One thing that the gate looked at."""

    name: str
    ok: bool
    detail: str = ""
    command: str = ""
    before: str = ""
    """What it printed without the patch (cut)."""
    after: str = ""
    """What it printed with the patch (cut)."""
    advice: bool = False
    """Whether it found something to say that decides nothing; it is well then."""
    tests: tuple[SeenTest, ...] = ()
    """The tests that did not pass on both sides, where the check ran tests; the first of them."""
    counts_before: SideCounts | None = None
    """Without the patch, where the check counted."""
    counts_after: SideCounts | None = None
    flaky: tuple[str, ...] = ()
    """Tests that ended in different ways without the patch; the first of them."""
    passed_files: tuple[str, ...] = ()
    """Files of tests that passed in each run with the patch, as did all others of the file; the
    first of them."""


class Strength(Record):
    """How many small variants of a patch its evidence tells from the patch."""

    tried: int
    told_apart: int
    survivors: tuple[str, ...] = ()
    """The variants that behave, before all the evidence, as the patch does; in words."""
    by: dict[str, int] = Field(default_factory=dict)
    """How many each piece of evidence told apart, the first that did."""
    void: str = ""
    """Why nothing could be measured; empty: it could."""

    @property
    def share(self) -> float:
        """From 0 to 1; 1 if nothing was tried."""
        return self.told_apart / self.tried if self.tried else 1.0


UNDECIDED = "one fix and no other"
"""The check that fails when the model itself cannot tell its fix from another."""

SCOPE = "tests of the patch"
"""The check that fails when tests that belong to a patch did not run: no model can change that."""

JUSTIFIABLE = ("chance or time", "size", "dependencies")
"""Checks that honest patches can fail, too: with a reason given at submission they are drafts."""

UNREAD = "readable code"
"""The check that fails when a patch changes a statement that the gate's own Python cannot read."""

FOR_A_PERSON = frozenset({UNDECIDED, SCOPE, UNREAD, *JUSTIFIABLE})
"""Where only such checks fail, the patch is a draft for a person to decide."""


STYLE = "the project's style"
"""The check that says what the project's own programs complain of; advice, asked about twice."""

CONVENTIONS = "the project's habits"
"""The check that says what the project's fixes nearly always touch; advice."""

UNNEEDED = "every hunk is needed"
"""The check that fails, once, to ask the model about hunks that nothing needs."""


class HunkEvidence(Record):
    """One hunk of source of a judged patch, and what needs it."""

    path: str
    line: int
    """Where it begins in the patched file (in the base's, if it only deletes)."""
    needed_by: str = ""
    """A test that fails without it, or "the reproduction"; empty: nothing was seen to need it."""
    reason: str = ""
    """The model's sentence why it belongs though no test needs it."""
    tried: bool = True
    """False: there was no time left to leave it out."""


Verdict = Literal["proven", "contested", "unproven", "refused"]


class GateProgressed(Event):
    """One of the gate's runs begins."""

    type: Literal["gate_progressed"] = "gate_progressed"
    what: str
    number: int
    """From 1."""
    of: int
    """How many there will be at most."""


class GateJudged(Event):
    """The independent gate's verdict on a submitted patch."""

    type: Literal["gate_judged"] = "gate_judged"
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    patch: str = ""
    """The patch that was judged, with the regression test."""
    hunks: tuple[HunkEvidence, ...] = ()
    """The hunks of source and what needs each; empty where they were not looked at."""
    contested: tuple[ContestedTest, ...] = ()
    """The tests that were changed because they contradict the issue; a person has to decide."""
    left_out: tuple[str, ...] = ()
    """What the gate had no time to look at, in sentences."""
    strength: tuple[Strength, ...] = ()
    """How strong the evidence is; empty where it was not measured."""
    image: str = ""
    """The digest of the image that its sandboxes started from; empty: not known, or a model chose
    how it was made."""


class NoteAdded(Event):
    """Words that reach the model at its next turn: from a person, or from the loop itself."""

    type: Literal["note_added"] = "note_added"
    source: Literal["human", "loop"]
    text: str
    author: str = ""
    hint_id: int = 0
    """For a person's note, its id in the store, so that it is taken once."""


QuestionKind = Literal["question", "plan"]

GO_AHEAD, PLAN_AGAIN = 1, 2
"""The options of a plan; there is no default: without approval the attempt ends."""


class QuestionAsked(Event):
    """The attempt waits for a person's choice; the worker and the sandbox are given back."""

    type: Literal["question_asked"] = "question_asked"
    number: int
    """Among the run's questions, from 1."""
    call_id: str
    """The tool call whose result the answer will be."""
    kind: QuestionKind = "question"
    """`plan`: the question is whether to make the change that it describes."""
    question: str
    """The model's words, like the options: untrusted."""
    options: tuple[str, ...]
    default: int
    """The option, from 1, that is taken if nobody answers in time; of a plan 0: none."""
    due: datetime


class QuestionAnswered(Event):
    """The choice that the attempt goes on with."""

    type: Literal["question_answered"] = "question_answered"
    number: int
    option: int
    """From 1; 0: nobody approved a plan in time."""
    author: str = ""
    """Who chose it; empty: nobody did in time, so the default was taken."""
    text: str = ""
    """What the person said besides. Untrusted."""


class ContextCut(Event):
    """Old tool outputs were replaced by stubs in one go, and the ledger restated."""

    type: Literal["context_cut"] = "context_cut"
    stubs: dict[str, str]
    """Tool call id → the one line that stands for its output from now on."""
    blanked: tuple[str, ...] = ()
    """Turns, named by their first tool call, whose reasoning and long arguments went too."""
    pictures: tuple[str, ...] = ()
    """Ids of the images that went, before anything else."""
    restated: str
    prompt_tokens_before: int


CommitOutcome = Literal["good", "bad", "skipped"]


class CommitTried(Event):
    """The reproduction was run at an older commit."""

    type: Literal["commit_tried"] = "commit_tried"
    commit: str
    subject: str = ""
    """Its author's words."""
    outcome: CommitOutcome
    why: str = ""
    """Why the commit was skipped."""
    duration_ms: int = 0
    place: int = -1
    """How many of the searched commits come after it; -1: not known."""
    of: int = 0
    """How many commits are searched."""


class CulpritSearched(Event):
    """A search for the commit that broke it is over."""

    type: Literal["culprit_searched"] = "culprit_searched"
    finding: Literal["found", "range", "since_beginning", "contradiction", "unfinished"]
    """As `agent.bisection.records` has it."""
    commit: str = ""
    """The first bad commit, with `found`; the first of what is known, with `since_beginning`."""
    subject: str = ""
    author: str = ""
    at: int = 0
    """When it was committed, in seconds since 1970."""
    suspects: tuple[str, ...] = ()
    commits: int = 0
    """How many commits were searched."""
    runs: int = 0


class ModelWaiting(Event):
    """The model's server is unavailable; the run waits."""

    type: Literal["model_waiting"] = "model_waiting"
    reason: str
    retry_in_s: float


class DriftNoticed(Event):
    """The loop noticed that the run goes in circles, and answered."""

    type: Literal["drift_noticed"] = "drift_noticed"
    kind: str
    answer: Literal["nudge", "rollback", "end"]
    calls_used: int


Outcome = Literal["proven", "draft", "diagnosis", "stopped", "failed"]


class AttemptEnded(Event):
    """The attempt is over. `diagnosis` says what is known, in words for the issue."""

    type: Literal["attempt_ended"] = "attempt_ended"
    outcome: Outcome
    diagnosis: str = ""
    best_of_several: bool = False
    """Whether it ended with the best patch that was judged, and not with the last."""


class EnvironmentPrepared(Event):
    """What the sandboxes of a run start from (attempt 0)."""

    type: Literal["environment_prepared"] = "environment_prepared"
    source: str
    """Where its recipe was read: ".github/patchwright.yml", "Dockerfile", "detection (…)", …"""
    image: str
    cached: bool
    """Whether the image was there already."""
    duration_ms: int
    failed: tuple[str, ...] = ()
    """What was tried before and why it failed."""
    recipe: str = ""
    """For `.github/patchwright.yml`, to have the same from then on; empty: nothing to add."""
    degraded: str = ""
    """Why it is less than the repository needs, in sentences; empty: it is not."""
    speaks_in_part: bool = False
    """Whether its tests, though degraded, speak for what they reach."""
    tests: str = ""
    """What one run of the suite gave in it ("12 passed, 1 failed"); empty: it was not run."""
    others: tuple[str, ...] = ()
    """Environments that were made as well and run the suite worse, a line each."""


class SetupTried(Event):
    """The model tried commands in place of a set-up that failed (attempt 0)."""

    type: Literal["setup_tried"] = "setup_tried"
    number: int
    why: str
    commands: tuple[str, ...]
    ok: bool
    said: str
    usage: Usage = Usage()
    cost: Money | None = None


class RunPhase(Event):
    """A coarse step of the run as a whole (attempt 0): queued, preparing, debugging, publishing."""

    type: Literal["run_phase"] = "run_phase"
    phase: str
    detail: str = ""


class PublicationStep(Event):
    """One step of bringing a judged patch to people was taken or refused (attempt 0)."""

    type: Literal["publication_step"] = "publication_step"
    step: Literal["prove", "commit", "push", "pull", "labels", "check", "reviewers", "tell"]
    """`prove`: again on a base that moved; `tell`: what became of it was said to people."""
    status: Literal["done", "refused", "left_out"]
    """`refused` ends the publication for now; without a step that was `left_out` it goes on."""
    kind: str = ""
    """Of a refusal: what was in the way. Of `tell`: where it was said."""
    detail: str = ""
    words: tuple[str, ...] = ()
    """The server's own lines. Untrusted."""
    places: tuple[str, ...] = ()
    """`path:line` of what the server pointed at. Untrusted."""
    base: str = ""
    """The commit that the patch applies to."""
    branch: str = ""
    commit: str = ""
    pull: int = 0
    url: str = ""
    """The pull request's address."""
    change: int = 0
    """The attempt whose change to an open pull request it is about; 0: the first publication."""


class CiRerun(Event):
    """A failed CI job of the pull request is run again (attempt 0)."""

    type: Literal["ci_rerun"] = "ci_rerun"
    check: int
    """GitHub's id of the job that failed."""
    name: str
    """Untrusted."""
    head: str
    workflow_run: int
    of_attempt: int
    """The attempt of its workflow in which it failed, from 1."""
    evidence: str
    """Why it seems to have failed by chance. May hold words of its log: untrusted."""
    status: Literal["asked", "done", "refused", "passed", "failed"] = "asked"
    """`asked`: before GitHub was called; `passed`, `failed`: how the job ended then."""


class RunEnded(Event):
    """The run is over, after the best attempt was chosen and published."""

    type: Literal["run_ended"] = "run_ended"
    outcome: Outcome
    chosen_attempt: int = 0
    pull_request: str = ""
    diagnosis: str = ""


AnyEvent = Annotated[
    AttemptStarted
    | SandboxOpened
    | ModelTurned
    | ToolStarted
    | ToolFinished
    | HypothesisProposed
    | HypothesisResolved
    | SnapshotTaken
    | TreeRestored
    | ReproductionDeclared
    | Submitted
    | GateProgressed
    | GateJudged
    | NoteAdded
    | QuestionAsked
    | QuestionAnswered
    | ContextCut
    | CommitTried
    | CulpritSearched
    | ModelWaiting
    | DriftNoticed
    | AttemptEnded
    | EnvironmentPrepared
    | SetupTried
    | RunPhase
    | PublicationStep
    | CiRerun
    | RunEnded,
    Field(discriminator="type"),
]

EVENT: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)
"""Reads and writes any event as JSON."""


class Recorded(Record):
    """An event with its place in the journal."""

    seq: int
    at: datetime
    event: AnyEvent


def now() -> datetime:
    """The present moment, as journals keep it."""
    return datetime.now(UTC)
