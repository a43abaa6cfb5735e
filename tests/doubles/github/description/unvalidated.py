"""What a validator is, and the one for use without GitHub's description."""

from typing import Any, Protocol

from tests.doubles.github.operations.operation import Answer
from tests.doubles.github.state import Json


class Validator(Protocol):
    """Holds traffic against GitHub's own description and collects what does not fit."""

    def request(self, version: str, method: str, template: str, query: Json, body: Any) -> None:
        """Check a request."""

    def answer(self, version: str, method: str, template: str, answer: Answer) -> None:
        """Check an answer."""

    def unknown(self, method: str, path: str) -> None:
        """Note a call of an operation that the stand-in does not have."""

    def unpinned(self, method: str, path: str) -> None:
        """Note a call of the App that names no version of the API."""

    def graphql(self, query: Any, variables: Json, by_app: bool) -> list[Json]:
        """Check a GraphQL request; the errors that GitHub would answer with, none if it fits."""

    def graphql_answer(self, query: str, variables: Json, data: Json) -> Json:
        """Check an answer's data; returns what of it was selected."""

    def event(self, name: str, payload: Json) -> None:
        """Check a webhook's payload."""


class NoValidation:
    """For use without GitHub's description (the demo on a machine that never fetched it)."""

    def __init__(self) -> None:
        self.violations: list[str] = []

    def request(self, version: str, method: str, template: str, query: Json, body: Any) -> None:
        """Nothing is checked."""

    def answer(self, version: str, method: str, template: str, answer: Answer) -> None:
        """Nothing is checked."""

    def unknown(self, method: str, path: str) -> None:
        """A call that the stand-in cannot answer is a violation even so."""
        self.violations.append(f"{method} {path}: the stand-in has no such operation")

    def unpinned(self, method: str, path: str) -> None:
        """GitHub would choose a version, today this one and tomorrow that."""
        self.violations.append(f"{method} {path}: no X-GitHub-Api-Version")

    def graphql(self, query: Any, variables: Json, by_app: bool) -> list[Json]:
        """Nothing is checked."""
        return []

    def graphql_answer(self, query: str, variables: Json, data: Json) -> Json:
        """All of it."""
        return data

    def event(self, name: str, payload: Json) -> None:
        """Nothing is checked."""
