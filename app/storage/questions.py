"""What runs ask people, and what was answered first.

The journal keeps both for the run; these rows are where answers come in. An answer is taken in one
transaction, which also lets the run go on, so of two at the same time one is the first.
"""

from __future__ import annotations

import sqlalchemy as sa

from agent.journal.events import QuestionAsked, now
from agent.journal.store import Answer
from agent.model import Record
from app.storage.notices import note_in
from app.storage.run_rows import dialect_insert, without_nul
from app.storage.tables import questions, runs

UNAPPROVED = 0
"""Instead of an option: nobody approved a plan in time."""
ENDED = -1
"""Instead of an option: the run ended without an answer."""


class KeptQuestion(Record):
    """A question of a run."""

    run_id: str
    asked: QuestionAsked
    comment_id: int
    """The comment that asks; 0: not posted yet, or not known."""
    answer: Answer | None
    """None: it is open, or the run ended."""
    ended: bool
    """Whether the run ended without an answer."""

    @property
    def is_open(self) -> bool:
        """Whether it may be answered."""
        return self.answer is None and not self.ended


class Questions:
    """The questions in the database."""

    def __init__(self, database: sa.Engine) -> None:
        self._database = database
        self._reads = database.execution_options(read_only=True)

    def put(
        self, run_id: str, repository_id: int, issue_number: int, asked: QuestionAsked
    ) -> KeptQuestion:
        """Let a question be answered; one that is known stays as it is."""
        insert = dialect_insert(self._database)
        row = {
            "run_id": run_id,
            "number": asked.number,
            "repository_id": repository_id,
            "issue_number": issue_number,
            "asked": asked.model_dump_json(),
            "comment_id": 0,
            "author": "",
            "text": "",
            "key": "",
        }
        with self._database.begin() as connection:
            connection.execute(insert(questions).values(**row).on_conflict_do_nothing())
            key = f"question-{asked.number}"
            note_in(connection, insert, run_id, "needs_you", key=key)
        kept = self.of_run(run_id)
        return kept or KeptQuestion(
            run_id=run_id, asked=asked, comment_id=0, answer=None, ended=False
        )

    def set_comment(self, run_id: str, number: int, comment_id: int) -> None:
        """Note the comment that asks."""
        self._change(run_id, number, comment_id=comment_id)

    def of_run(self, run_id: str) -> KeptQuestion | None:
        """A run's last question."""
        return self._first(questions.c.run_id == run_id)

    def open_at(self, repository_id: int, issue_number: int) -> KeptQuestion | None:
        """The question that may be answered on an issue."""
        live = sa.select(runs.c.id).where(
            runs.c.repository_id == repository_id, runs.c.live_key.is_not(None)
        )
        return self._first(
            questions.c.repository_id == repository_id,
            questions.c.issue_number == issue_number,
            questions.c.option.is_(None),
            questions.c.run_id.in_(live),
        )

    def answered_by(self, key: str) -> KeptQuestion | None:
        """The question that this answered."""
        return self._first(questions.c.key == key) if key else None

    def wake(self, run_id: str) -> None:
        """Let a run that waits look whether it still has to."""
        with self._database.begin() as connection:
            connection.execute(sa.update(runs).where(runs.c.id == run_id).values(goes_on()))

    def answer(self, run_id: str, number: int, answer: Answer, key: str) -> bool:
        """Answer an open question and let its run go on; False when another one was first.

        The same again, by its `key`, is the first one still.
        """
        with self._database.begin() as connection:
            of_run = sa.update(runs).where(runs.c.id == run_id, runs.c.live_key.is_not(None))
            # Changes nothing, but whoever lets the run wait waits for this row.
            locked = connection.execute(of_run.values(updated_at=runs.c.updated_at))
            if not locked.rowcount:
                return False
            known = sa.and_(questions.c.run_id == run_id, questions.c.number == number)
            values = {
                "option": answer.option,
                "author": answer.author,
                "text": without_nul(answer.text),
                "key": key,
            }
            open_still = sa.update(questions).where(known, questions.c.option.is_(None))
            if connection.execute(open_still.values(values)).rowcount:
                connection.execute(of_run.values(goes_on()))
                return True
            first = connection.execute(sa.select(questions.c.key).where(known))
            return bool(key) and first.scalar_one_or_none() == key

    def answer_to(self, run_id: str, asked: QuestionAsked) -> Answer | None:
        """The answer; the default once its time has come; None: it is still waited for."""
        kept = self.of_run(run_id)
        if kept is not None and kept.asked.number == asked.number and kept.answer is not None:
            return kept.answer
        if now() < asked.due:
            return None
        self._change(run_id, asked.number, only_open=True, option=asked.default)
        kept = self.of_run(run_id)
        return (kept.answer if kept else None) or Answer(option=asked.default)

    def end(self, run_id: str) -> KeptQuestion | None:
        """The run is over: nothing can be answered any more. The question that was open, if any."""
        kept = self.of_run(run_id)
        if kept is None or not kept.is_open:
            return None
        self._change(run_id, kept.asked.number, only_open=True, option=ENDED)
        kept = self.of_run(run_id)
        return kept if kept is not None and kept.ended else None

    def _change(
        self, run_id: str, number: int, *, only_open: bool = False, **values: object
    ) -> None:
        where = [questions.c.run_id == run_id, questions.c.number == number]
        if only_open:
            where.append(questions.c.option.is_(None))
        with self._database.begin() as connection:
            connection.execute(sa.update(questions).where(*where).values(**values))

    def _first(self, *where: sa.ColumnElement[bool]) -> KeptQuestion | None:
        query = sa.select(questions).where(*where).order_by(questions.c.number.desc()).limit(1)
        with self._reads.connect() as connection:
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            return None
        option = row["option"]
        given = option is not None and option != ENDED
        chosen = Answer(option=option, author=row["author"], text=row["text"]) if given else None
        return KeptQuestion(
            run_id=row["run_id"],
            asked=QuestionAsked.model_validate_json(row["asked"]),
            comment_id=row["comment_id"],
            answer=chosen,
            ended=option == ENDED,
        )


def has_answer(connection: sa.Connection, run_id: str, number: int) -> bool:
    """Whether a question was answered."""
    query = sa.select(questions.c.option).where(
        questions.c.run_id == run_id, questions.c.number == number
    )
    return connection.execute(query).scalar_one_or_none() is not None


def goes_on() -> dict[str, object]:
    """A run's values when what it waits for is there: one that waits is in line again, any other
    is what it was."""
    waits = runs.c.status == "waiting"
    return {
        "status": sa.case((waits, "queued"), else_=runs.c.status),
        "held_until": sa.case((waits, sa.null()), else_=runs.c.held_until),
    }
