"""What style tools complain of, and which of it is new with a patch.

Outputs come out of a sandbox that runs hostile code: they are read as text within bounds, and
nothing in them decides more than what is said to people and to the model.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from agent.model import Record
from sandbox.protocol import WORKDIR

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_MOST_TEXT = 2_000_000
_MOST_LINES = 20_000
_LONGEST = 300
_NAME = re.compile(r"[\w/-]")
_PLACE = r"(?:[:(]\d+(?:[:,]\d+)?\)?|(?: at)? line \d+)?:?"


class Complaint(Record):
    """One line about one of the files."""

    path: str
    line: int
    """0: about the file."""
    said: str
    """Its words, without the place."""

    @property
    def shown(self) -> str:
        """With its place."""
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.said}"


def complaints(output: str, files: Collection[str], folder: str = ".") -> list[Complaint]:
    """The complaints about these files in what a tool printed; its files are as from `folder`."""
    text = _ESCAPES.sub("", output[:_MOST_TEXT]).replace("\r", "")
    found = list(_of_json(text, files))
    if found:
        return found
    known = _names(files, folder)
    above = ""
    for raw in text.split("\n")[:_MOST_LINES]:
        line = raw[:1000].replace(f"{WORKDIR}/", "")
        path = next((name for name in known if name in line), None)
        if path is None or not _stands_alone(path, line):
            above = line.strip() or above
            continue
        found.append(_complaint(known[path], path, line, above))
    return found


def new_complaints(
    before: Sequence[Complaint],
    after: Sequence[Complaint],
    added: Mapping[str, Collection[int]],
) -> list[Complaint]:
    """What is said more often with the patch than without, those about added lines first.

    Lines move with a patch, so places are not compared.
    """
    excess = Counter((c.path, c.said) for c in after)
    excess.subtract(Counter((c.path, c.said) for c in before))
    found = []
    ordered = sorted(after, key=lambda c: c.line not in added.get(c.path, ()))
    for complaint in ordered:
        key = (complaint.path, complaint.said)
        if excess[key] > 0:
            excess[key] -= 1
            found.append(complaint)
    return found


def _names(files: Collection[str], folder: str) -> dict[str, str]:
    """How a tool may call each file: from the repository's folder, or from where it is run."""
    prefix = "" if folder == "." else f"{folder}/"
    short = {path.removeprefix(prefix): path for path in files}
    return {**short, **{path: path for path in files}} if prefix else short


def _stands_alone(name: str, line: str) -> bool:
    at = line.index(name)
    before, after = line[:at].removesuffix("./")[-1:], line[at + len(name) :][:1]
    return not _NAME.match(before) and not _NAME.match(after)


def _complaint(path: str, name: str, line: str, above: str) -> Complaint:
    """The complaint of a line; `above` says it where the line is an arrow to a place only."""
    place = re.search(rf"(?:\./)?{re.escape(name)}{_PLACE}", line)
    assert place is not None
    number = re.search(r"\d+", place[0].partition(name)[2])
    said = " ".join(f"{line[: place.start()]}{line[place.end() :]}".split()).rstrip(" :")
    if said == "-->":
        said = " ".join(above.split())
    return Complaint(
        path=path, line=int(number[0][:9]) if number else 0, said=said[:_LONGEST] or "complaint"
    )


def _of_json(text: str, files: Collection[str]) -> Iterator[Complaint]:
    """ESLint's form `json`: a list of files, each with its messages."""
    start = next((line for line in text.split("\n")[:50] if line.startswith("[{")), "")
    try:
        listed = json.loads(start) if start else []
    except (ValueError, RecursionError):
        return
    for entry in listed if isinstance(listed, list) else ():
        if not isinstance(entry, dict):
            continue
        path = str(entry.get("filePath", "")).removeprefix(f"{WORKDIR}/")
        messages = entry.get("messages")
        if path not in files or not isinstance(messages, list):
            continue
        for message in messages[:_MOST_LINES]:
            if isinstance(message, dict):
                line, rule = message.get("line"), message.get("ruleId")
                said = " ".join(str(message.get("message", ""))[:_LONGEST].split())
                yield Complaint(
                    path=path,
                    line=line if isinstance(line, int) and 0 < line < 10**9 else 0,
                    said=f"{said} ({str(rule)[:80]})" if rule else said,
                )
