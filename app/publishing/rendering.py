"""Renders the templates of reports, escaping everything not known to be safe."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from agent.bisection.records import day_of
from app.repo_config.schema import Language
from app.sanitize.markdown import Markdown, code, fenced, inline, prose

TEMPLATES = Path(__file__).parent / "templates"


def render(
    template: str, escape: Callable[[str], str], language: Language = "en", **context: object
) -> str:
    """Render a template in the language, else in English. `escape` is applied to all output."""
    text = _environment(escape, language).get_template(template).render(**context)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


@cache
def _environment(escape: Callable[[str], str], language: Language) -> Environment:
    """The templates of a language, each read and compiled once."""

    def finalize(value: object) -> str:
        return str(value) if isinstance(value, Markdown | int) else escape(str(value))

    environment = Environment(  # noqa: S701 - the output is Markdown; `finalize` escapes it all
        loader=FileSystemLoader([TEMPLATES / language, TEMPLATES]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=finalize,
    )
    environment.filters |= {
        "prose": prose,
        "fenced": fenced,
        "code": code,
        "inline": inline,
        "ours": Markdown,
        "day": day_of,
        "date": lambda moment: moment.astimezone(UTC).date().isoformat(),
    }
    return environment


MARKER_ROOM = 200
"""Room left in a comment for its hidden marker."""


MAX_ROWS = 40
"""Most lines of one table in a report."""


@dataclass(frozen=True, slots=True)
class Phrases:
    """The phrases of one language; `{…}` are filled in."""

    prepare: str
    reproduce: str
    culprit: str
    root_cause: str
    patch: str
    prove: str
    open_pull: str
    no_reproduction: str
    flaky: str
    tests_only: str
    no_tests: str
    no_network: str
    other_platforms: str
    check_proven: str
    check_unproven: str
    annotation: str
    not_ready: str
    check_unpublished: str
    published_since: str
    claimed: str
    also_claimed: str
    one_approval: str
    approvals: str
    last_push: str
    owners_approve: str
    conversations: str


PHRASES: Mapping[Language, Phrases] = {
    "en": Phrases(
        prepare="Prepare a sandbox with the repository",
        reproduce="Reproduce the bug",
        culprit="Find the commit that broke it",
        root_cause="Find the root cause",
        patch="Write a patch",
        prove="Prove it in a fresh sandbox",
        open_pull="Open a pull request",
        no_reproduction="No command reproduced the bug.",
        flaky="The reproduction failed in only {failures} of {runs} runs: it is flaky.",
        tests_only="Tests of the repository that `{command}` does not run.",
        no_tests="The repository's own tests, because no test command is known.",
        no_network="Anything that needs the network or other services; the sandbox has neither.",
        other_platforms="Other platforms, and versions of the dependencies other than those in "
        "the sandbox.",
        check_proven="Proven: fails without the patch, passes with it",
        check_unproven="Not proven",
        annotation="Changed by the fix",
        not_ready="Not ready: {title}",
        check_unpublished="Fix proven, but not published",
        published_since="The patch that could not be published at first is now in {pull}.",
        claimed="An open pull request already claims to fix this issue: {pulls}. Work has not "
        "begun; comment `/{name} fix` to start it anyway.",
        also_claimed="An open pull request claims to fix this issue, too: {pulls}.",
        one_approval="One approving review of somebody with write access.",
        approvals="{count} approving reviews of people with write access.",
        last_push="An approval of the newest push by somebody who did not make it.",
        owners_approve="An approval by the code owners of the changed files.",
        conversations="An end to every conversation about the code.",
    ),
    "de": Phrases(
        prepare="Sandbox mit dem Repository vorbereiten",
        reproduce="Fehler reproduzieren",
        culprit="Commit finden, der es war",
        root_cause="Ursache finden",
        patch="Patch schreiben",
        prove="In einer frischen Sandbox nachweisen",
        open_pull="Pull Request öffnen",
        no_reproduction="Der Fehler ließ sich mit keinem Befehl reproduzieren.",
        flaky="Die Reproduktion schlug nur in {failures} von {runs} Läufen fehl: "
        "sie ist unzuverlässig.",
        tests_only="Tests des Repositorys, die `{command}` nicht ausführt.",
        no_tests="Die Tests des Repositorys, denn es ist kein Testbefehl bekannt.",
        no_network="Alles, was Netz oder andere Dienste braucht; die Sandbox hat beides nicht.",
        other_platforms="Andere Plattformen und andere Versionen der Abhängigkeiten als in der "
        "Sandbox.",
        check_proven="Nachgewiesen: schlägt ohne den Patch fehl, läuft mit ihm durch",
        check_unproven="Nicht nachgewiesen",
        annotation="Vom Fix geändert",
        not_ready="Not ready: {title}",
        check_unpublished="Fix nachgewiesen, aber nicht veröffentlicht",
        published_since="Der Patch, der zuerst nicht veröffentlicht werden konnte, ist jetzt in "
        "{pull}.",
        claimed="Ein offener Pull Request soll dieses Issue schon beheben: {pulls}. Der Lauf hat "
        "nicht begonnen; `/{name} fix` in einem Kommentar startet ihn trotzdem.",
        also_claimed="Auch ein offener Pull Request soll dieses Issue beheben: {pulls}.",
        one_approval="Eine zustimmende Review von jemandem mit Schreibrecht.",
        approvals="{count} zustimmende Reviews von Leuten mit Schreibrecht.",
        last_push="Eine Zustimmung zum letzten Push von jemandem, der ihn nicht gemacht hat.",
        owners_approve="Eine Zustimmung der Code Owner der geänderten Dateien.",
        conversations="Ein Ende jeder Unterhaltung über den Code.",
    ),
}
