"""Why a server did not take a push: its own words, and the kind of rule behind them.

GitHub tells a client nothing but text. The sentences below are those that people report from it:
GH001 (git-lfs/git-lfs#6330), GH003 (renovatebot/renovate#44819), GH006 (kubeflow/pipelines#4384,
hexojs/hexo#2817, supportpal/github-gh-cli#47), GH013 (yshavit/mdq#255, github/gh-aw#29301,
palxiao/poster-design#140), a branch in the way (mozilla-services/contile#196), and GitHub's pages
"Available rules for rulesets" and "Troubleshooting the 2 GB push limit".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

RefusalKind = Literal[
    "taken",
    "in_the_way",
    "signatures",
    "linear_history",
    "path",
    "file_size",
    "push_size",
    "checks",
    "force_push",
    "creation",
    "branch_name",
    "commit_message",
    "email",
    "secret",
    "pull_request",
    "workflows",
    "permission",
    "archived",
    "unavailable",
    "object",
    "rule",
]
"""`taken`: the branch has other commits; `in_the_way`: another branch's name makes this one
impossible; `rule`: some rule that is not told apart; the others are named after what they want."""

REFUSAL_KINDS: tuple[RefusalKind, ...] = get_args(RefusalKind)

_SIGNS: tuple[tuple[RefusalKind, str], ...] = (
    ("secret", r"cannot contain secrets|GH009|secrets? (was |were )?detected"),
    ("file_size", r"GH001|exceeds GitHub's file size limit|file size .*(exceed|limit|restrict)"),
    (
        "push_size",
        r"pack exceeds maximum allowed size|push exceeds|over its (size|data) (limit|quota)",
    ),
    ("path", r"file (path|extension|name)s? .*(restrict|too long|exceed|not allowed)"),
    ("signatures", r"verified signatures?|must be signed|signed commits"),
    ("linear_history", r"must not contain merge commits|linear history"),
    ("force_push", r"GH003|force-push"),
    ("creation", r"creations? (being|is|are) restricted|not (allowed|permitted) to create"),
    ("commit_message", r"commit message must"),
    ("email", r"GH007|(author|committer) email|private email address"),
    ("branch_name", r"(branch|ref)( name)? must (not )?(match|start|end|contain)"),
    ("workflows", r"without `?workflows`? permission"),
    ("checks", r"status checks?.*(is|are) expected|required (workflow|deployment)|merge queue"),
    ("pull_request", r"changes must be made through a pull request"),
    ("archived", r"archived so it is read-only|repository was archived"),
    ("unavailable", r"repository (is|has been) .*(locked|disabled|migrat|unavailable)"),
    ("permission", r"permission to .* denied|write access to repository not granted"),
    ("object", r"fsck error|index-pack abnormal exit|unpacker error|unpack failed"),
)
_SIGNS_COMPILED = tuple((kind, re.compile(sign, re.I)) for kind, sign in _SIGNS)
_TAKEN = (
    "non-fast-forward",
    "fetch first",
    "already exists",
    "failed to lock",
    "failed to update ref",
    "stale info",
    "cannot lock ref",
    "incorrect old value",
)
"""Git's own words for a branch that is elsewhere than expected."""
_IN_THE_WAY = re.compile(r"'refs/heads/([^']+)' exists; cannot create|directory[ /]file conflict")
_PLACE = re.compile(r"^(?:- )?path: (?P<path>.+?):(?P<line>\d+)$")
_PROGRESS = re.compile(r"^(Resolving deltas|Counting|Compressing|Enumerating|Total|Processing)\b")

MOST_WORDS = 40
"""Lines of a server's words that are kept."""
LONGEST_LINE = 300


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a server did not take a push. All texts are untrusted."""

    kind: RefusalKind
    words: tuple[str, ...] = ()
    """The server's own lines."""
    reason: str = ""
    """Git's short reason for the reference, e.g. `pre-receive hook declined`."""
    in_the_way: str = ""
    """The branch whose name makes the new one impossible, where the server names it."""
    places: tuple[tuple[str, int], ...] = ()
    """Path and line of each secret that the server found."""


def read_refusal(output: str) -> Refusal:
    """The refusal in the output of `git push --porcelain`, both streams together."""
    words = server_words(output)
    rejected = next((line for line in output.splitlines() if line.startswith("!")), "")
    reason = _reason(rejected)
    said = "\n".join((*words, reason))
    blocked = _IN_THE_WAY.search(said) or _IN_THE_WAY.search(output)
    if blocked:
        return Refusal("in_the_way", words, reason, in_the_way=blocked[1] or "")
    for kind, sign in _SIGNS_COMPILED:
        if sign.search(said):
            places = _places(words) if kind == "secret" else ()
            return Refusal(kind, words, reason, places=places)
    own = [line for line in output.splitlines() if not line.startswith("remote:")]
    if any(sign in line for line in own for sign in _TAKEN):
        return Refusal("taken", words, reason)
    return Refusal("rule", words, reason or (own or ["it said nothing"])[-1])


def server_words(output: str) -> tuple[str, ...]:
    """The lines that the server said to git, without git's mark and without progress."""
    said = [
        line.removeprefix("remote:").strip()[:LONGEST_LINE]
        for line in output.splitlines()
        if line.startswith("remote:")
    ]
    kept = [line for line in said if not _PROGRESS.match(line)]
    lines = [line for n, line in enumerate(kept) if line or (n and kept[n - 1])]
    while lines and not lines[-1]:
        lines.pop()
    return tuple(lines[:MOST_WORDS])


def _reason(rejected: str) -> str:
    """`[remote rejected] (declined)` as `declined`."""
    last = rejected.rpartition("\t")[2]
    found = re.search(r"\((.*)\)\s*$", last)
    return (found[1] if found else last)[:LONGEST_LINE]


def _places(words: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    found = (_PLACE.match(line) for line in words)
    return tuple((match["path"], int(match["line"])) for match in found if match)
