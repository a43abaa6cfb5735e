"""Who owns changed files, by the repository's CODEOWNERS."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from codeowners import CodeOwners

PLACES = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS")
"""Where GitHub looks, in its order."""
LIMIT_BYTES = 3_000_000
"""GitHub ignores longer files."""
MOST_REVIEWERS = 15
"""Most owners that are asked; GitHub accepts no more at once."""


@dataclass(frozen=True, slots=True)
class Owners:
    """People by login and teams by slug, in the order of the changed files."""

    people: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()


def owners_of(content: bytes, paths: Iterable[str], organisation: str) -> Owners:
    """The owners of these files. Addresses and other organisations' teams are left out."""
    if len(content) > LIMIT_BYTES:
        return Owners()
    rules = CodeOwners(content.decode("utf-8", errors="replace"))
    people: list[str] = []
    teams: list[str] = []
    for path in paths:
        for kind, name in rules.of(path):
            plain = name.removeprefix("@")
            account, _, slug = plain.partition("/")
            if kind == "USERNAME" and plain not in people:
                people.append(plain)
            elif kind == "TEAM" and account.casefold() == organisation.casefold():
                teams += [slug] if slug not in teams else []
    room = max(0, MOST_REVIEWERS - len(people))
    return Owners(tuple(people[:MOST_REVIEWERS]), tuple(teams[:room]))
