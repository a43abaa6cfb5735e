"""Whether what the App reads of GitHub's answers is in GitHub's description of them.

The stand-in may have a field that GitHub's description lacks, or the App may ask for one that is
never there: a read by name of an answer is held against the description of its operation.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
from github.Requester import Requester

from app.github.transport import _Checked
from tests.doubles.github.api import find
from tests.doubles.github.description.validation import description_of
from tests.doubles.github.description.versions import GONE_PROPERTY
from tests.doubles.github.state import Json

_REPOSITORY = "/repos/owner/name"


class Declared(dict[str, Any]):
    """An object of an answer that notes reads of names which its schemas do not have."""

    def __init__(self, value: Json, schemas: list[Json], answer: "Described") -> None:
        known, free = answer.properties(schemas)
        children = {key: answer.wrap(child, known.get(key, [])) for key, child in value.items()}
        super().__init__(children)
        self._known, self._free, self._answer = known, free or not known, answer

    def __getitem__(self, key: str) -> Any:
        self._held(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """As dict's own."""
        self._held(key)
        return super().get(key, default)

    def _held(self, key: str) -> None:
        if not self._free and key not in self._known:
            self._answer.undeclared.add(f"{self._answer.operation}: {key!r}")


@dataclass(frozen=True)
class Described:
    """The description of one operation's answers, in one version."""

    operation: str
    version: str
    undeclared: set[str]

    def wrap(self, value: Any, schemas: list[Json]) -> Any:
        """The value with its objects watched, by the schemas that it may have."""
        if isinstance(value, dict):
            return Declared(value, schemas, self)
        if isinstance(value, list):
            items = [s["items"] for s in self._alternatives(schemas) if "items" in s]
            return [self.wrap(item, items) for item in value]
        return value

    def properties(self, schemas: list[Json]) -> tuple[dict[str, list[Json]], bool]:
        """Names with their schemas; and whether other names are free."""
        known: dict[str, list[Json]] = {}
        free = False
        for schema in self._alternatives(schemas):
            free = free or bool(schema.get("additionalProperties"))
            for name, child in schema.get("properties", {}).items():
                if child != GONE_PROPERTY:
                    known.setdefault(name, []).append(child)
        return known, free

    def followed(self, node: Json) -> Json:
        """What a reference leads to."""
        while "$ref" in node:
            target: Any = description_of(self.version)
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            node = target
        return node

    def _alternatives(self, schemas: list[Json]) -> Iterator[Json]:
        for schema in schemas:
            followed = self.followed(schema)
            yield followed
            for word in ("allOf", "anyOf", "oneOf"):
                yield from self._alternatives(followed.get(word, []))


class Notes:
    """What was read and is not declared."""

    def __init__(self) -> None:
        self.undeclared: set[str] = set()
        self.answers = 0

    def answer(self, verb: str, url: str, body: Any) -> Any:
        """The body of an answer, such that reads of it are held against the description."""
        path = urlsplit(url).path.removeprefix("/api/v3")
        if path.startswith("/repositories/"):
            path = "/".join([_REPOSITORY, *path.split("/")[3:]])
        found = find(verb, path)
        if found is None:
            return body
        version, operation = _Checked.api_version, found[0]
        name = f"{verb} {operation.template} ({version})"
        answer = Described(name, version, self.undeclared)
        described = description_of(version)["paths"][operation.template][verb.lower()]
        schemas = []
        for status, response in described["responses"].items():
            content = answer.followed(response).get("content", {}).get("application/json")
            if status.startswith("2") and content:
                schemas.append(content["schema"])
        self.answers += 1
        return answer.wrap(body, schemas)


@contextmanager
def reads_noted() -> Iterator[Notes]:
    """Note all reads of answers by PyGithub's clients in this process."""
    notes, original = Notes(), Requester.requestJsonAndCheck

    def noted(requester: Requester, verb: str, url: str, *rest: Any, **more: Any) -> Any:
        headers, body = original(requester, verb, url, *rest, **more)
        return headers, notes.answer(verb, url, body)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Requester, "requestJsonAndCheck", noted)
        yield notes
