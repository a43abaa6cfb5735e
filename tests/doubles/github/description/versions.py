"""What the versions of GitHub's REST API differ in, as far as the stand-in's operations go.

Facts: GitHub's page "Breaking changes", and the difference of the packages
`githubkit-schemas-2022-11-28` and `githubkit-schemas-2026-03-10` (26.10.21), which are made from
GitHub's own description of each version; `test_api_versions.py` holds this table to them.
https://docs.github.com/rest/about-the-rest-api/breaking-changes
"""

from collections.abc import Mapping
from typing import Any

from tests.doubles.github.state import Json

OLDEST = "2022-11-28"
NEWEST = "2026-03-10"
VERSIONS = (OLDEST, NEWEST)
"""https://docs.github.com/rest/about-the-rest-api/api-versions#supported-api-versions"""

_REPOSITORY = frozenset({"has_downloads", "use_squash_pr_title_as_default"})
GONE: Mapping[str, frozenset[str]] = {
    "full-repository": _REPOSITORY,
    "issue": frozenset({"assignee"}),
    "minimal-repository": frozenset({"has_downloads"}),
    "pull-request": frozenset({"assignee", "merge_commit_sha"}),
    "pull-request-simple": frozenset({"assignee", "merge_commit_sha"}),
    "rate-limit-overview": frozenset({"rate"}),
    "repository": _REPOSITORY | {"master_branch"},
}
"""Component of the older description → its properties that the newer one lacks."""
GONE_FROM_BODIES: Mapping[tuple[str, str], frozenset[str]] = {
    ("patch", "/repos/{owner}/{repo}/issues/{issue_number}"): frozenset({"assignee"}),
    ("post", "/repos/{owner}/{repo}/issues"): frozenset({"assignee"}),
}
"""Operation → properties of its request that the newer description lacks."""
GONE_PROPERTY: Json = {"not": {}}
"""The schema of a property that must not be there."""
_ANYWHERE = frozenset().union(*GONE.values()) - {"assignee", "rate"}


def described(description: Json, version: str) -> Json:
    """The description of that version, made of the oldest one's; what is gone must not be there."""
    if version == OLDEST:
        return description
    components = dict(description["components"]["schemas"])
    for name, gone in GONE.items():
        for kept in (name, f"nullable-{name}"):
            if kept in components:
                components[kept] = _without(components[kept], gone)
    paths = dict(description["paths"])
    for (method, path), gone in GONE_FROM_BODIES.items():
        operation = paths[path][method]
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        content = {"application/json": {"schema": _without(schema, gone)}}
        body = operation["requestBody"] | {"content": content}
        paths[path] = paths[path] | {method: operation | {"requestBody": body}}
    made = {"paths": paths, "components": description["components"] | {"schemas": components}}
    return description | made


def _without(schema: Json, gone: frozenset[str]) -> Json:
    required = [name for name in schema.get("required", ()) if name not in gone]
    properties = schema["properties"] | dict.fromkeys(gone, GONE_PROPERTY)
    made = schema | {"properties": properties}
    return made | {"required": required} if required else made


def answered(body: Any, version: str) -> Any:
    """A body that was made for the oldest version, as that version has it."""
    if version == OLDEST:
        return body
    if isinstance(body, list):
        return [answered(item, version) for item in body]
    if not isinstance(body, dict):
        return body
    gone = set(_ANYWHERE)
    if "assignees" in body:  # an event of an assignment has one person of that name, and keeps it
        gone.add("assignee")
    if "resources" in body:
        gone.add("rate")
    return {key: answered(value, version) for key, value in body.items() if key not in gone}
