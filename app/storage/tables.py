"""The tables, and an engine set up for them.

Times are microseconds since 1970 in UTC: both databases sort and compare them alike.
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

metadata = sa.MetaData()

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    # As last known; the id is what tells repositories apart.
    sa.Column("repository", sa.String(255), nullable=False),
    sa.Column("issue_number", sa.BigInteger, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("installation_id", sa.BigInteger, nullable=False),
    sa.Column("delivery_id", sa.String(64), nullable=False),
    sa.Column("trigger", sa.Text, nullable=False),
    sa.Column("triggered_by", sa.String(100), nullable=False),
    sa.Column("model", sa.String(255), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("outcome", sa.String(16), nullable=False, default=""),
    sa.Column("pull_request", sa.Text, nullable=False, default=""),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    # Set once the durable engine knows the run; NULL means that it is still to be told (outbox).
    sa.Column("enqueued_at", sa.BigInteger),
    # `repository id#issue` while the run is live, NULL afterwards: one live run per issue.
    sa.Column("live_key", sa.String(300), unique=True),
    sa.Column("owner", sa.String(128), nullable=False, default=""),
    # Grows with every claim; who appends with an older one has lost the run.
    sa.Column("epoch", sa.BigInteger, nullable=False, default=0),
    sa.Column("next_seq", sa.BigInteger, nullable=False, default=0),
    sa.Column("stop_requested", sa.Boolean, nullable=False, default=False),
    # From 1; each review or failed check that continues the run is another round.
    sa.Column("round", sa.Integer, nullable=False, default=1, server_default="1"),
    # Something came in while the run was live: another round follows at once.
    sa.Column("woken", sa.Boolean, nullable=False, default=False, server_default=sa.false()),
    sa.Column("pull_number", sa.BigInteger, nullable=False, default=0, server_default="0"),
    # What became of its pull request: empty while it is open, merged, closed.
    sa.Column("closed", sa.String(8), nullable=False, default="", server_default=""),
    # When the limits let it begin; NULL while it waits.
    sa.Column("begun_at", sa.BigInteger),
    # Until then it does not begin: its issue is being told that it waits, or GitHub's limit lasts.
    sa.Column("held_until", sa.BigInteger),
    sa.Column("repository_id", sa.BigInteger, nullable=False, default=0, server_default="0"),
    # private: the repository was, at that time or later; asked: it is public now, and somebody has
    # to decide about the pages of before; opened: they may be shown.
    sa.Column("visibility", sa.String(8), nullable=False, default="", server_default=""),
    sa.Index("runs_newest", "created_at", "id"),
    sa.Index("runs_outbox", "enqueued_at", "status"),
    sa.Index("runs_of_pulls", "repository_id", "pull_number"),
    sa.Index("runs_of_ids", "repository_id", "created_at", "id"),
    sa.Index("runs_of_repository", "repository", "created_at", "id"),
    sa.Index("runs_of_places", "repository_id", "installation_id", "repository"),
    sa.Index("runs_by_visibility", "visibility", "repository_id"),
    sa.Index("runs_by_state", "status", "outcome", "pull_number", "closed"),
)

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("event", sa.String(64), nullable=False),
    sa.Column("run_id", sa.String(32), nullable=False),
    sa.Column("received_at", sa.BigInteger, nullable=False),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("run_id", sa.String(32), primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)

logs = sa.Table(
    "logs",
    metadata,
    sa.Column("run_id", sa.String(32), primary_key=True),
    sa.Column("log_id", sa.String(128), primary_key=True),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

hints = sa.Table(
    "hints",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("run_id", sa.String(32), nullable=False, index=True),
    sa.Column("author", sa.String(100), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    # What it came by, so that the same is not added twice; NULL: nothing that could come again.
    sa.Column("key", sa.String(64)),
    sa.Index("hints_once", "key", unique=True),
)

questions = sa.Table(
    "questions",
    metadata,
    sa.Column("run_id", sa.String(32), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("repository_id", sa.BigInteger, nullable=False),
    sa.Column("issue_number", sa.BigInteger, nullable=False),
    # The journal's event, as JSON.
    sa.Column("asked", sa.Text, nullable=False),
    # The comment that asks; 0: not posted yet, or not known.
    sa.Column("comment_id", sa.BigInteger, nullable=False),
    # NULL: open; 0: nobody approved a plan in time; -1: the run ended without an answer.
    sa.Column("option", sa.Integer),
    # Empty: nobody answered in time.
    sa.Column("author", sa.String(100), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    # What the answer came by, so that the same is not taken for another; empty: nothing.
    sa.Column("key", sa.String(64), nullable=False),
    sa.Index("questions_of_issues", "repository_id", "issue_number"),
)


asks = sa.Table(
    "asks",
    metadata,
    # The delivery's.
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("received_at", sa.BigInteger, nullable=False),
    # As with runs: NULL means that the durable engine is still to be told.
    sa.Column("enqueued_at", sa.BigInteger),
    sa.Column("answer", sa.Text, nullable=False, default=""),
    # Where it was said (`app.github.webhook_events.source_of`): it is answered there in its turn.
    sa.Column("place", sa.String(300), nullable=False, default="", server_default=""),
    # What was found out for it, so that it is not found out again after a crash.
    sa.Column("found", sa.Text, nullable=False, default="", server_default=""),
    # Whether a worker has it in hand; what is so when another takes it was left by a death.
    sa.Column("in_hand", sa.Boolean, nullable=False, default=False, server_default=sa.false()),
    sa.Index("asks_outbox", "enqueued_at"),
    sa.Index("asks_of_places", "place", "received_at"),
)

onboarding = sa.Table(
    "onboarding",
    metadata,
    # GitHub's: neither a new name nor a new installation makes it another repository.
    sa.Column("repository_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("account_id", sa.BigInteger, nullable=False),
    sa.Column("installation_id", sa.BigInteger, nullable=False),
    sa.Column("repository", sa.String(255), nullable=False),
    # waiting, working, proposed; enabled, closed, skipped.
    sa.Column("state", sa.String(16), nullable=False),
    # How often its turn came; each is an event of its own.
    sa.Column("turns", sa.Integer, nullable=False, default=0),
    sa.Column("pull_number", sa.BigInteger, nullable=False, default=0),
    sa.Column("reason", sa.Text, nullable=False, default=""),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    # When it came into its state; 0: before that was kept.
    sa.Column("changed_at", sa.BigInteger, nullable=False, default=0, server_default="0"),
    sa.Index("onboarding_turns", "account_id", "state", "created_at"),
)

proofs = sa.Table(
    "proofs",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("repository_id", sa.BigInteger, nullable=False),
    sa.Column("installation_id", sa.BigInteger, nullable=False),
    sa.Column("repository", sa.String(255), nullable=False),
    # Whether the repository was, when the proof was asked for.
    sa.Column("private", sa.Boolean, nullable=False),
    # 0: of a merge group.
    sa.Column("pull_number", sa.BigInteger, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("author", sa.String(100), nullable=False),
    sa.Column("author_is_bot", sa.Boolean, nullable=False),
    # label, command, settings, rerun, merge_queue.
    sa.Column("asked_by", sa.String(16), nullable=False),
    sa.Column("sender", sa.String(100), nullable=False),
    sa.Column("base_branch", sa.String(255), nullable=False),
    # Empty until the proof begins, but for merge groups.
    sa.Column("base_sha", sa.String(64), nullable=False),
    sa.Column("head_sha", sa.String(64), nullable=False),
    # Git's ids of the trees before and after: the same change has the same.
    sa.Column("trees", sa.String(130), nullable=False),
    # queued, working; done, cancelled.
    sa.Column("state", sa.String(16), nullable=False),
    # proven, unproven, failed; empty: there is none (yet).
    sa.Column("verdict", sa.String(16), nullable=False),
    # Why it was cancelled or could not be made.
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("report", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("begun_at", sa.BigInteger),
    sa.Column("ended_at", sa.BigInteger),
    sa.Index("proofs_newest", "created_at", "id"),
    sa.Index("proofs_of_pulls", "repository_id", "pull_number", "created_at"),
    sa.Index("proofs_by_state", "state"),
    sa.Index("proofs_of_installations", "installation_id", "created_at"),
)

alerts = sa.Table(
    "alerts",
    metadata,
    # A hash of its source, its repository and what its source tells it from others by.
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("source", sa.String(64), nullable=False),
    # As the operator's file names it; empty: the file has no place for it.
    sa.Column("repository", sa.String(255), nullable=False),
    # 0 until GitHub was asked.
    sa.Column("repository_id", sa.BigInteger, nullable=False),
    sa.Column("installation_id", sa.BigInteger, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    # What it said last, as JSON, without secrets and cut to size; empty where no issue tells it.
    sa.Column("report", sa.Text, nullable=False),
    # waiting, open, limited, refused, unrouted; resolved (says the source), fixed (says GitHub),
    # gone (both).
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    # 0: it has no issue (yet).
    sa.Column("issue_number", sa.BigInteger, nullable=False),
    sa.Column("seen", sa.BigInteger, nullable=False),
    # How often its issue was written on that day.
    sa.Column("edits", sa.Integer, nullable=False),
    sa.Column("day", sa.String(10), nullable=False),
    # Grows with every event that has its issue written.
    sa.Column("edition", sa.Integer, nullable=False),
    # It is there again after it was over, and its issue does not say so yet.
    sa.Column("came_back", sa.Boolean, nullable=False),
    # Those it came from before its fix, one a line.
    sa.Column("releases", sa.Text, nullable=False),
    # When its issue was first asked for.
    sa.Column("opened_at", sa.BigInteger),
    # When its issue may be written again; NULL: there is nothing new.
    sa.Column("due_at", sa.BigInteger),
    sa.Column("written_at", sa.BigInteger),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("seen_at", sa.BigInteger, nullable=False),
    sa.Index("alerts_newest", "seen_at", "id"),
    sa.Index("alerts_of_issues", "repository_id", "issue_number"),
    sa.Index("alerts_due", "due_at"),
    sa.Index("alerts_of_sources", "source", "created_at"),
)

notices = sa.Table(
    "notices",
    metadata,
    sa.Column("id", sa.String(100), primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("run_id", sa.String(32), nullable=False),
    sa.Column("repository", sa.String(255), nullable=False),
    sa.Column("issue_number", sa.BigInteger, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("pull_request", sa.Text, nullable=False),
    # What a run said at its end.
    sa.Column("words", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    # Whether it was noted on which channels it is to be sent.
    sa.Column("shared_out", sa.Boolean, nullable=False),
    sa.Index("notices_to_share_out", "shared_out", "at"),
)

notice_sends = sa.Table(
    "notice_sends",
    metadata,
    sa.Column("notice_id", sa.String(100), primary_key=True),
    sa.Column("channel", sa.String(40), primary_key=True),
    # due, sent, given up
    sa.Column("state", sa.String(8), nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    # When it is tried (again); while a process sends it, when another may.
    sa.Column("next_at", sa.BigInteger, nullable=False),
    # Why it was not taken the last time.
    sa.Column("why", sa.Text, nullable=False),
    sa.Index("notice_sends_due", "state", "next_at"),
)

expiries = sa.Table(
    "expiries",
    metadata,
    # The run whose pull request it is.
    sa.Column("run_id", sa.String(32), primary_key=True),
    # open, closing, closed (by us)
    sa.Column("state", sa.String(16), nullable=False),
    # From when on nobody was there, unless GitHub tells of somebody later: when it was first looked
    # at, opened again, or seen with other commits.
    sa.Column("since", sa.BigInteger, nullable=False),
    # Its last commit as seen then; empty: not looked at yet.
    sa.Column("head", sa.String(64), nullable=False),
    # By GitHub's clock; NULL: nobody was reminded since somebody was there.
    sa.Column("reminded_at", sa.BigInteger),
    # What the reminder says.
    sa.Column("closes_at", sa.BigInteger),
    # When it is looked at again; each look is an event of its own.
    sa.Column("next_at", sa.BigInteger, nullable=False),
    sa.Column("looks", sa.Integer, nullable=False),
)

handled = sa.Table(
    "handled",
    metadata,
    sa.Column("run_id", sa.String(32), primary_key=True),
    # What of the pull request's conversation a round has taken up: `line:5`, `check:7` …
    sa.Column("remark", sa.String(64), primary_key=True),
    sa.Column("round", sa.Integer, nullable=False),
)

comments = sa.Table(
    "comments",
    metadata,
    sa.Column("repository_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("issue_number", sa.BigInteger, primary_key=True, autoincrement=False),
    # What the comment begins with.
    sa.Column("marker", sa.String(300), primary_key=True),
    # By the database's clock: when it was begun, or its id came to be known.
    sa.Column("begun_at", sa.BigInteger, nullable=False),
    # 0: it was begun, and GitHub's answer is not known.
    sa.Column("comment_id", sa.BigInteger, nullable=False),
    sa.Index("comments_by_age", "begun_at"),
)


def to_micros(moment: datetime) -> int:
    """A moment as the tables keep it."""
    seconds = int(moment.replace(microsecond=0).timestamp())
    return seconds * 1_000_000 + moment.microsecond


def from_micros(micros: int) -> datetime:
    """A moment from the tables."""
    return datetime.fromtimestamp(micros // 1_000_000, UTC).replace(microsecond=micros % 1_000_000)


workers = sa.Table(
    "workers",
    metadata,
    sa.Column("id", sa.String(128), primary_key=True),
    # Another at each start: a process that was taken for dead sees that it is not the one meant.
    sa.Column("incarnation", sa.String(32), nullable=False),
    # active, draining (told to end), gone (ended, or taken for dead)
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("started_at", sa.BigInteger, nullable=False),
    # By the database's clock, so that machines need not agree on the time.
    sa.Column("beat_at", sa.BigInteger, nullable=False),
)


controls = sa.Table(
    "controls",
    metadata,
    sa.Column("run_id", sa.String(32), primary_key=True),
    sa.Column("paused", sa.Boolean, nullable=False, default=False),
    # Blame for workers that died at the same place of the run, one after the other.
    sa.Column("deaths", sa.Integer, nullable=False, default=0),
    # How much of the run was complete at the last of them.
    sa.Column("mark", sa.BigInteger, nullable=False, default=-1),
)


organisations_off = sa.Table(
    "organisations_off",
    metadata,
    # The account's login in lower case.
    sa.Column("account", sa.String(100), primary_key=True),
    # Who wants it: operator, file (the organisation's own).
    sa.Column("source", sa.String(16), primary_key=True),
    sa.Column("by", sa.String(128), nullable=False),
    # A sentence.
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)


usage = sa.Table(
    "usage",
    metadata,
    sa.Column("day", sa.String(10), primary_key=True),
    sa.Column("tokens", sa.BigInteger, nullable=False),
    sa.Column("turns", sa.BigInteger, nullable=False),
)


pull_outcomes = sa.Table(
    "pull_outcomes",
    metadata,
    # The run whose pull request it is.
    sa.Column("run_id", sa.String(32), primary_key=True),
    # untouched, edited, merged (which of them is not known), closed; empty: not looked at yet.
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("opened_at", sa.BigInteger),
    sa.Column("ended_at", sa.BigInteger),
    # The commit of its base branch that has the change; empty: not known.
    sa.Column("commit", sa.String(64), nullable=False),
    # How many commits of the branch the change is.
    sa.Column("commits", sa.Integer, nullable=False),
    sa.Column("branch", sa.String(255), nullable=False),
    sa.Column("lines_edited", sa.BigInteger, nullable=False),
    # The commit that took it back; empty: none did.
    sa.Column("reverted_by", sa.String(64), nullable=False),
    sa.Column("reverted_at", sa.BigInteger),
    # When it is looked at again; NULL: never. Each look is an event of its own.
    sa.Column("next_at", sa.BigInteger),
    sa.Column("looks", sa.Integer, nullable=False),
    sa.Index("pull_outcomes_due", "next_at"),
)


spending = sa.Table(
    "spending",
    metadata,
    # Of a run, a proof or a check.
    sa.Column("run_id", sa.String(32), primary_key=True),
    # 2026-11, in UTC.
    sa.Column("month", sa.String(7), primary_key=True),
    sa.Column("currency", sa.String(3), primary_key=True),
    sa.Column("repository_id", sa.BigInteger, nullable=False),
    sa.Column("installation_id", sa.BigInteger, nullable=False),
    # Millionths.
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("turns", sa.BigInteger, nullable=False),
    sa.Index("spending_of_months", "month", "currency", "repository_id"),
)


run_budgets = sa.Table(
    "run_budgets",
    metadata,
    sa.Column("run_id", sa.String(32), primary_key=True),
    # What the run may cost, in millionths; 0: there is no limit.
    sa.Column("amount", sa.BigInteger, nullable=False),
    # What its repository may cost in a month, as the repository's settings were.
    sa.Column("of_repository", sa.BigInteger, nullable=False),
)


archives = sa.Table(
    "archives",
    metadata,
    sa.Column("run_id", sa.String(32), primary_key=True),
    sa.Column("file", sa.Text, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("archived_at", sa.BigInteger, nullable=False),
    sa.Column("deleted_at", sa.BigInteger),
)


audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.String(128), nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(300), nullable=False),
    sa.Column("detail", sa.Text, nullable=False, default=""),
    sa.Index("audit_newest", "at"),
)


schedules = sa.Table(
    "schedules",
    metadata,
    sa.Column("repository_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("installation_id", sa.BigInteger, nullable=False),
    sa.Column("repository", sa.String(255), nullable=False),
    sa.Column("private", sa.Boolean, nullable=False),
    # When its branches, and those of the organisation's own repository, moved last.
    sa.Column("seen", sa.String(100), nullable=False),
    # The schedule in effect, as JSON; empty: none.
    sa.Column("schedule", sa.Text, nullable=False),
    # When its next night begins; NULL: never.
    sa.Column("next_at", sa.BigInteger),
    sa.Index("schedules_due", "next_at"),
)


nights = sa.Table(
    "nights",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("repository_id", sa.BigInteger, nullable=False),
    sa.Column("installation_id", sa.BigInteger, nullable=False),
    sa.Column("repository", sa.String(255), nullable=False),
    # Whether the repository was, when the night began.
    sa.Column("private", sa.Boolean, nullable=False),
    # By the schedule's calendar.
    sa.Column("day", sa.String(10), nullable=False),
    # begun, working, reported; failed.
    sa.Column("state", sa.String(16), nullable=False),
    # As it was when the night began, as JSON.
    sa.Column("schedule", sa.Text, nullable=False),
    # What it did not look at and why, as JSON.
    sa.Column("passed_over", sa.Text, nullable=False),
    # Why it could not be held, or what else is to be said of it.
    sa.Column("reason", sa.Text, nullable=False),
    # 0: its report is on its page only.
    sa.Column("report_issue", sa.BigInteger, nullable=False),
    sa.Column("due_at", sa.BigInteger, nullable=False),
    sa.Column("begun_at", sa.BigInteger, nullable=False),
    sa.Column("ended_at", sa.BigInteger),
    sa.Index("nights_newest", "due_at", "id"),
    sa.Index("nights_of_repositories", "repository_id", "due_at"),
    sa.Index("nights_by_state", "state"),
)


triages = sa.Table(
    "triages",
    metadata,
    # The run that looks at the issue.
    sa.Column("run_id", sa.String(32), primary_key=True),
    sa.Column("night_id", sa.String(32), nullable=False),
    sa.Column("repository_id", sa.BigInteger, nullable=False),
    sa.Column("issue_number", sa.BigInteger, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    # Empty: not known yet.
    sa.Column("finding", sa.String(16), nullable=False),
    # The evidence for it, in sentences.
    sa.Column("words", sa.Text, nullable=False),
    # 0: of none.
    sa.Column("duplicate_of", sa.BigInteger, nullable=False),
    # The commit that fixed it; empty: none is known.
    sa.Column("commit_id", sa.String(64), nullable=False),
    # A hash of all that others than the App wrote on the issue.
    sa.Column("digest", sa.String(64), nullable=False),
    # When the issue changed last, of what the App knows.
    sa.Column("changed_at", sa.BigInteger, nullable=False),
    # Whether the issue was asked for what it lacks; once ever.
    sa.Column("asked", sa.Boolean, nullable=False),
    # What the run took.
    sa.Column("tokens", sa.BigInteger, nullable=False),
    sa.Column("seconds", sa.BigInteger, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Index("triages_of_nights", "night_id", "issue_number"),
    sa.Index("triages_of_issues", "repository_id", "issue_number", "at"),
)
