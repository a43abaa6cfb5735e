"""axe-core, which finds barriers in pages: fetched once, run inside a page of a test.

Run ``python -m tests.e2e.axe`` to fetch it beforehand.
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import Page

from tests.doubles import npm

AXE = npm.Package(
    "axe-core",
    "4.14.1",
    "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
    (("package/axe.min.js", "axe.min.js"),),
)
GRAVE = frozenset({"serious", "critical"})


def source() -> Path:
    """The script, fetched if it is not there yet. Raises `npm.NotFetched`."""
    folder = npm.cache_root() / AXE.name
    npm.fetch(AXE, folder)
    return folder / AXE.version / "axe.min.js"


def barriers(page: Page, grave: frozenset[str] = GRAVE) -> list[str]:
    """What axe finds on the page as it is now, of those weights; a line for each element."""
    # Through the debugger, not as a script tag: the pages' own policy lets none in.
    page.evaluate(source().read_text("utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert found["passes"], "axe looked at nothing"
    return [
        f"{rule['impact']} {rule['id']}: {node['target']} {node.get('failureSummary', '')}"
        for rule in found["violations"]
        if rule["impact"] in grave
        for node in rule["nodes"]
    ]


if __name__ == "__main__":
    try:
        print(source())
    except npm.NotFetched as error:
        sys.exit(f"axe-core could not be fetched: {error}")
