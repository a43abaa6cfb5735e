"""The sentences of reports that are made in code, in each language. The rest is in templates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.repo_config.schema import Language


@dataclass(frozen=True, slots=True)
class Words:
    """One language. `{…}` are filled in."""

    prepare: str
    reproduce: str
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
    title: str
    check_proven: str
    check_unproven: str
    annotation: str


WORDS: Mapping[Language, Words] = {
    "en": Words(
        prepare="Prepare a sandbox with the repository",
        reproduce="Reproduce the bug",
        root_cause="Find the root cause",
        patch="Write a patch",
        prove="Prove it in a fresh sandbox",
        open_pull="Open a pull request",
        no_reproduction="The bug was not reproduced by a command.",
        flaky="The reproduction failed in {failures} of {runs} runs only: it is flaky.",
        tests_only="Of the repository's tests, only those that `{command}` runs.",
        no_tests="The repository's own tests: no test command is known.",
        no_network="Anything that needs the network or other services: the sandbox has neither.",
        other_platforms="Other platforms, and other versions of the dependencies than the "
        "sandbox has.",
        title="Fix: {title}",
        check_proven="Proven: fails without the patch, passes with it",
        check_unproven="Not proven",
        annotation="Changed by the fix",
    ),
    "de": Words(
        prepare="Sandbox mit dem Repository vorbereiten",
        reproduce="Fehler reproduzieren",
        root_cause="Ursache finden",
        patch="Patch schreiben",
        prove="In einer frischen Sandbox beweisen",
        open_pull="Pull Request öffnen",
        no_reproduction="Der Fehler wurde durch keinen Befehl reproduziert.",
        flaky="Die Reproduktion schlug nur in {failures} von {runs} Läufen fehl: "
        "sie ist unzuverlässig.",
        tests_only="Von den Tests des Repositorys nur die, die `{command}` ausführt.",
        no_tests="Die Tests des Repositorys: Es ist kein Testbefehl bekannt.",
        no_network="Alles, was Netz oder andere Dienste braucht: Die Sandbox hat beides nicht.",
        other_platforms="Andere Plattformen und andere Versionen der Abhängigkeiten als die in "
        "der Sandbox.",
        title="Fix: {title}",
        check_proven="Bewiesen: ohne den Patch ein Fehlschlag, mit ihm Erfolg",
        check_unproven="Nicht bewiesen",
        annotation="Vom Fix geändert",
    ),
}
