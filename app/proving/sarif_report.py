"""A proof as SARIF 2.1.0, for code scanning: each thing to look at, where it is.

The format: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html. GitHub's code scanning
takes only results that have a place, so what is about the whole change stands at its first file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from agent.gate.compare import file_of
from agent.proving.records import ChangeProof
from agent.text.visible import visible

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
RULES = {
    "not-proven": "The change is not proven.",
    "broken-test": "A test passes without the change and fails with it.",
    "no-test-needs-it": "No test needs this hunk.",
    "finding": "A person should look at this.",
}


def sarif(proof: ChangeProof) -> str:
    """The report as JSON."""
    driver = {
        "name": "Patchwright",
        "rules": [{"id": rule, "shortDescription": {"text": text}} for rule, text in RULES.items()],
    }
    run = {
        "tool": {"driver": driver},
        "results": list(_results(proof)),
        "columnKind": "utf16CodeUnits",
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _results(proof: ChangeProof) -> Iterator[dict[str, Any]]:
    whole = proof.files[0] if proof.files else "."
    for text in proof.missing:
        yield _result("not-proven", "warning", text, whole)
    for name in proof.broken:
        path = file_of(name)
        yield _result("broken-test", "error", f"{name} fails with the change.", path)
    for hunk in proof.unneeded:
        yield _result("no-test-needs-it", "note", RULES["no-test-needs-it"], hunk.path, hunk.line)
    for finding in proof.findings:
        named = finding.detail.partition(":")[0]
        path = named if named in proof.files else whole
        yield _result("finding", "warning", f"{finding.rule}: {finding.detail}", path)


def _result(rule: str, level: str, text: str, path: str, line: int = 1) -> dict[str, Any]:
    # A surrogate stands for a byte that is not UTF-8.
    uri = quote(path.encode("utf-8", errors="surrogateescape"))
    place = {"artifactLocation": {"uri": uri}, "region": {"startLine": max(line, 1)}}
    return {
        "ruleId": rule,
        "level": level,
        "message": {"text": visible(text)},
        "locations": [{"physicalLocation": place}],
    }
