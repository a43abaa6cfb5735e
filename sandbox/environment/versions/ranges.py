"""Whether a version is within a range, as Python's, npm's and other tools write ranges.

Sources: PEP 440 (version specifiers), npm's semver README (ranges), Composer's and RubyGems'
documentation (`~>`). A number that one side leaves out decides nothing: 3.11 fits "3.11.4", because
a patch release is no reason to refuse an interpreter.
"""

from __future__ import annotations

import re

from sandbox.environment.versions.records import Version, version_of

_TERM = re.compile(r"(===|==|!=|>=|<=|~=|~>|>|<|=|\^|~)?\s*v?(\d+(?:\.(?:\d+|\*|[xX]))*)[\w.+-]*")
_HYPHEN = re.compile(r"v?(\d[\d.]*)\s+-\s+v?(\d[\d.]*)")


def allows(wanted: str, version: Version) -> bool:
    """Whether a range has the version in it; a range that cannot be read allows every one."""
    alternatives = [part.strip() for part in re.split(r"\|\|?", wanted) if part.strip()]
    return not alternatives or any(_all_of(part, version) for part in alternatives)


def _all_of(part: str, version: Version) -> bool:
    if hyphen := _HYPHEN.fullmatch(part):
        low, high = version_of(hyphen[1]), version_of(hyphen[2])
        return _compare(version, low) >= 0 and _compare(version, high) <= 0
    terms = _TERM.findall(part)
    return all(_one(operator, numbers, version) for operator, numbers in terms)


def _one(operator: str, numbers: str, version: Version) -> bool:
    bound = version_of(re.split(r"\.[*xX]", numbers)[0])
    order = _compare(version, bound)
    match operator:
        case ">=":
            return order >= 0
        case ">":
            # `>3.11` leaves out all of 3.11 in npm's words, and 3.11.0 alone in PEP 440's.
            return order > 0
        case "<=":
            return order <= 0
        case "<":
            return order < 0
        case "!=":
            return order != 0
        case "^":
            at = next((i for i, n in enumerate(bound) if n), len(bound) - 1)
            return order >= 0 and version[: at + 1] == bound[: at + 1]
        case "~=" | "~>":
            head = bound[:-1] or bound
            return order >= 0 and version[: len(head)] == head
        case "~":
            head = bound[:2]
            return order >= 0 and version[: len(head)] == head
        case _:
            return order == 0


def _compare(version: Version, bound: Version) -> int:
    """Negative, 0, positive; only the numbers that both have count."""
    size = min(len(version), len(bound))
    ours, theirs = version[:size], bound[:size]
    return (ours > theirs) - (ours < theirs)
