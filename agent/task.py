"""What is to be debugged, and within which bounds."""

from __future__ import annotations

from typing import Literal

from agent.guarded_paths import FORBIDDEN_PATHS
from agent.model import ExternalTool, Picture, Record


class Issue(Record):
    """What a person reported. All of it is untrusted text."""

    title: str
    body: str
    number: int = 0
    author: str = ""
    comments: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    """`Name: value` of what else the tracker says of it: its type, its priority."""


ATTACHED = "attached:"
"""Log ids of attachments begin so; they belong to the run and not to one attempt."""
IMAGE = f"{ATTACHED}image-"
"""And of images so."""


class Attachment(Record):
    """A log that came with the issue; its text is in the store under `id`. Untrusted."""

    id: str
    """`attached:1`, `attached:2` …"""
    name: str
    size: int
    """Bytes."""


class Budget(Record):
    """How much one attempt may use."""

    calls: int = 300
    calls_per_hypothesis: int = 15
    wall_s: float = 3 * 3600.0
    tokens: int = 40_000_000
    """Prompt and completion tokens, cached ones included."""
    tool_timeout_s: float = 120.0
    test_timeout_s: float = 600.0


class GatePolicy(Record):
    """What a patch may be."""

    allowed_paths: tuple[str, ...] = ()
    """Only these; empty: all that is not forbidden."""
    forbidden_paths: tuple[str, ...] = FORBIDDEN_PATHS
    lock_files: tuple[str, ...] = (
        "*.lock",
        "package-lock.json",
        "pnpm-lock.yaml",
        "go.sum",
        "requirements*.txt",
    )
    allow_lock_files: bool = False
    max_files: int = 20
    max_changed_lines: int = 800
    """Of source: tests, documents and change logs are not counted."""
    prove_without_tests: bool = False
    """Whether a reproduction alone proves a patch where the repository has no test that runs."""
    drop_unneeded_hunks: bool = False
    """Whether hunks of source that nothing needs are left out of the proven patch."""
    suite_runs: float = 3.0
    """The gate's budget for evidence beyond reproduction and suite, in runs of the suite …"""
    evidence_s: float = 600.0
    """… or in seconds, whichever is more."""
    strength_variants: int = 0
    """Most variants of a patch that its evidence is tried on. 0: strength is not measured, as long
    as no threshold has been found that keeps right patches; each variant costs a run of tests."""
    strength_time_s: float = 60.0
    strength_least_share: float = 0.0
    """The share of variants that the evidence must tell from the patch, 0 to 1."""


class KeptBase(Record):
    """Where the suite's results on a base are kept, and what decides them.

    Only for a tree that no model has changed.
    """

    folder: str
    repository: str
    commit: str
    """What tells the tree from all others: its commit, or a hash of its content."""
    environment: str
    """What tells the image from all others: its content's id, and no name that can move."""


class RelatedWork(Record):
    """Something that others did, or an earlier run, that an issue may have to do with."""

    kind: Literal["pull request", "branch", "commit", "earlier run"]
    why: str
    """Why it is listed, in our own words."""
    name: str
    """Like all that follows, somebody else's words: untrusted."""
    title: str = ""
    detail: str = ""


class RuleDocument(Record):
    """A file in which a project's maintainers say how to work on it, from its default branch."""

    path: str
    text: str
    """Cut to a bound; no more than data, whoever wrote it."""
    is_cut: bool = False
    commands_only: bool = False
    """Whether only its commands matter: it is for people, and long."""

    @property
    def folder(self) -> str:
        """The folder that it is about; empty: the whole repository."""
        parent = self.path.rpartition("/")[0]
        return "" if parent in (".github", "docs") else parent


class Habit(Record):
    """What a project's own recent fixes nearly always touch besides source, counted by the host."""

    kind: Literal["changelog", "changelog entry", "docs"]
    """`changelog entry`: a new file in a folder, for each change."""
    paths: tuple[str, ...]
    """The files; of entries, or of documents, the folder, which ends with `/`."""
    touched: int
    """How many of the last fixes did."""
    of: int
    example: str = ""
    """An entry that such a fix added, or the document that it touched."""


class ProjectRules(Record):
    """What is known of how a project wants changes made."""

    documents: tuple[RuleDocument, ...] = ()
    habits: tuple[Habit, ...] = ()
    near: tuple[str, ...] = ()
    """Files that the issue names: rules of their folders come first."""


class Asking(Record):
    """Whether an attempt may ask people something, and how long they have."""

    wait_s: float = 0.0
    """After so many seconds the default is taken; 0: nobody can be asked."""
    plan_wait_s: float = 0.0
    """A plan has to be approved before a patch is submitted, within so many seconds; 0: none is
    wanted."""
    asked_before: int = 0
    """Questions and plans of the run's earlier attempts."""


class Task(Record):
    """One attempt's whole assignment."""

    run_id: str
    repository: str
    base_commit: str
    issue: Issue
    test_command: str = ""
    """Empty: found out from the repository."""
    budget: Budget = Budget()
    policy: GatePolicy = GatePolicy()
    kept_base: KeptBase | None = None
    """None: the base's results are measured for every submission."""
    gate_at_once: int = 1
    """How many of the gate's sandboxes may run tests at the same time."""
    history_commits: int = 0
    """How many commits the sandbox's `.git` holds, the base commit the last; 0: there is none."""
    history_is_cut: bool = False
    """Whether there are older commits that it does not hold."""
    related: tuple[RelatedWork, ...] = ()
    rules: ProjectRules | None = None
    """None: the project's rules are not asked for."""
    hints: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    pictures: tuple[Picture, ...] = ()
    """Images that came with the issue; a model that cannot see is only told that they exist."""
    feedback: tuple[str, ...] = ()
    """What was said about the patch that is in the tree already, in order. Untrusted."""
    degraded: str = ""
    """Why the environment is not the one that the repository asks for; empty: it is."""
    asking: Asking = Asking()
    external_tools: tuple[ExternalTool, ...] = ()
    """Tools of the operator that attempts may use; the gate never does."""
    external_missing: tuple[str, ...] = ()
    """Why others are not among them, in sentences."""
    again: str = ""
    """Why there is another attempt, in our own words; empty for the first."""
