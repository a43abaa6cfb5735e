"""Lists that GitHub gives in pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from github.Requester import Requester

MOST_PAGES = 30
"""Of a hundred entries each; what comes after is not read."""


def all_entries(
    requester: Requester,
    path: str,
    key: str = "",
    headers: Any = None,
    **query: Any,
) -> Iterator[dict[str, Any]]:
    """The entries of all pages, of `MOST_PAGES` at most; `key` names the list in each answer.

    Whether there is another page is said by the `Link` header alone: a page may be short because
    GitHub leaves out what the caller may not see ("Using pagination in the REST API").
    """
    for page in range(1, MOST_PAGES + 1):
        parameters = {"per_page": 100, "page": page, **query}
        answered, data = requester.requestJsonAndCheck(
            "GET", path, parameters=parameters, headers=headers
        )
        yield from data[key] if key else data
        if 'rel="next"' not in (answered.get("link") or ""):
            return
