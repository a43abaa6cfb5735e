"""Holds traffic against GitHub's own API description and webhook schemas."""

import hashlib
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema  # type: ignore[import-untyped]
from openapi_schema_validator import OAS30Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7, DRAFT202012

from tests.doubles.github.description import graphql
from tests.doubles.github.description.fetch import kept_file
from tests.doubles.github.description.unvalidated import NoValidation
from tests.doubles.github.description.versions import OLDEST, described
from tests.doubles.github.operations.operation import Answer
from tests.doubles.github.state import Json

_ROOT = "urn:github:openapi"
_HOOKS = "urn:github:webhooks"
_MAX_NOTED = 5
_NEWER_PARTS: Json = {
    "type": {"$ref": "#/components/schemas/issue-type"},
    "issue_field_values": {
        "type": "array",
        "items": {"$ref": "#/components/schemas/issue-field-value"},
    },
}
"""Parts of an issue that the webhook schemas do not know yet."""


def _enum(validator: Any, allowed: list[Any], value: Any, schema: Json) -> Iterator[Any]:
    """GitHub marks enumerations as nullable without listing null, and does send null there."""
    if value is None and schema.get("nullable"):
        return
    yield from OAS30Validator.VALIDATORS["enum"](validator, allowed, value, schema)


def _any(validator: Any, schemas: list[Any], value: Any, schema: Json) -> Iterator[Any]:
    """One alternative must fit; GitHub's are not always exclusive, and may be null as a whole."""
    if value is None and schema.get("nullable"):
        return
    yield from jsonschema.Draft7Validator.VALIDATORS["anyOf"](validator, schemas, value, schema)


_OWN_REF = jsonschema.Draft7Validator.VALIDATORS["$ref"]


def _remembering() -> Any:
    """As the library's own `$ref`, but each object is held against a schema only once.

    A payload has the same repository and the same people many times over, and the next one again.
    """
    valid: set[bytes] = set()

    def _ref(validator: Any, reference: str, value: Any, schema: Json) -> Iterator[Any]:
        known = b""
        if isinstance(value, dict):
            text = json.dumps(value, sort_keys=True)
            known = hashlib.sha256(f"{reference} {text}".encode()).digest()
            if known in valid:
                return
        errors = list(_OWN_REF(validator, reference, value, schema) or ())
        if known and not errors:
            valid.add(known)
        yield from errors

    return _ref


@cache
def _validator_of(version: str) -> Any:
    """The validator for one version of the description: its references are the version's own."""
    own = {"enum": _enum, "oneOf": _any, "anyOf": _any, "$ref": _remembering()}
    return jsonschema.validators.extend(OAS30Validator, own)


_HookValidator = jsonschema.validators.extend(jsonschema.Draft7Validator, {"$ref": _remembering()})


class OfficialValidation(NoValidation):
    """Collects, as sentences, what does not fit GitHub's description; needs it in the cache."""

    def __init__(self) -> None:
        super().__init__()
        load_description()
        self._cache: dict[tuple[str, str], Any] = {}
        # Looked up now, so that a missing file is told at the start and not by a webhook.
        event_validator("ping$event")

    def _operation(self, version: str, method: str, template: str) -> Json | None:
        description = description_of(version)
        found: Json | None = description["paths"].get(template, {}).get(method.lower())
        if found is None:
            self.violations.append(f"{method} {template}: not in GitHub's description")
        return found

    def _validator(self, version: str, key: str, schema: Json) -> Any:
        if (version, key) not in self._cache:
            # References inside an operation are relative to the whole description.
            absolute = _absolute(schema, f"{_ROOT}:{version}")
            self._cache[version, key] = _validator_of(version)(
                absolute, registry=_registry(version)
            )
        return self._cache[version, key]

    def _check(self, version: str, what: str, key: str, schema: Json, value: Any) -> None:
        validator = self._validator(version, key, schema)
        for error, _ in zip(validator.iter_errors(value), range(_MAX_NOTED), strict=False):
            self.violations.append(f"{what}: {_told(error)}")

    def request(self, version: str, method: str, template: str, query: Json, body: Any) -> None:
        """Query parameters by name and schema, and the body by its schema."""
        operation = self._operation(version, method, template)
        if operation is None:
            return
        description = description_of(version)
        what = f"request {method} {template}"
        parameters = [_follow(description, item) for item in operation.get("parameters", [])]
        known = {item["name"]: item["schema"] for item in parameters if item["in"] == "query"}
        for name, text in query.items():
            if name not in known:
                self.violations.append(f"{what}: GitHub knows no query parameter {name!r}")
                continue
            schema = _follow(description, known[name])
            self._check(version, f"{what} ?{name}", f"{what}?{name}", schema, _typed(schema, text))
        if isinstance(body, list) and template.endswith("/labels"):
            # Allowed by the prose of the description, and by GitHub, but not by the schema.
            body = {"labels": body}
        declared = operation.get("requestBody")
        if declared and (body or declared.get("required")):
            content = _follow(description, declared)["content"]
            if "application/json" in content:
                self._check(version, what, what, content["application/json"]["schema"], body)

    def answer(self, version: str, method: str, template: str, answer: Answer) -> None:
        """Status and body; an error that GitHub does not list must still have GitHub's form."""
        operation = self._operation(version, method, template)
        if operation is None:
            return
        description = description_of(version)
        what = f"answer {answer.status} to {method} {template}"
        declared = operation["responses"].get(str(answer.status))
        if declared is None:
            if answer.status < 400:
                self.violations.append(f"{what}: GitHub lists no such status")
                return
            error = {"$ref": "#/components/schemas/basic-error"}
            self._check(version, what, "basic-error", error, answer.body)
            return
        content = _follow(description, declared).get("content", {})
        if "application/json" in content and not isinstance(answer.body, str):
            self._check(version, what, what, content["application/json"]["schema"], answer.body)

    def graphql(self, query: Any, variables: Json, by_app: bool) -> list[Json]:
        """Errors in GitHub's words; what the App asks wrongly is a violation, too."""
        errors = graphql.errors_of(query, variables)
        if by_app:
            self.violations += [f"request POST /graphql: {error['message']}" for error in errors]
        return errors

    def graphql_answer(self, query: str, variables: Json, data: Json) -> Json:
        """The fields that were selected, each of its type."""
        found, problems = graphql.answered(query, variables, data)
        self.violations += [f"answer to POST /graphql: {problem}" for problem in problems]
        return found

    def event(self, name: str, payload: Json) -> None:
        """A webhook's payload by the schema of its event and action.

        The published webhook schemas know neither types nor fields of issues; GitHub's description
        does.
        """
        action = payload.get("action")
        key = f"{name}${action}" if action else f"{name}$event"
        validator = event_validator(key)
        newer = f"webhook-{name}-{action}".replace("_", "-")
        if issue := payload.get("issue"):
            for part, schema in _NEWER_PARTS.items():
                if part in issue:
                    self._check(OLDEST, f"webhook {key}", part, schema, issue[part])
            known = {k: v for k, v in issue.items() if k not in _NEWER_PARTS}
            payload = payload | {"issue": known}
        if validator is None and newer in description_of(OLDEST)["components"]["schemas"]:
            reference = {"$ref": f"#/components/schemas/{newer}"}
            self._check(OLDEST, f"webhook {key}", newer, reference, payload)
            return
        if validator is None:
            self.violations.append(f"webhook {key}: GitHub has no such event")
            return
        for error, _ in zip(validator.iter_errors(payload), range(_MAX_NOTED), strict=False):
            self.violations.append(f"webhook {key}: {_told(error)}")


@cache
def load_description() -> Json:
    """GitHub's OpenAPI description; raises DescriptionMissing."""
    loaded: Json = json.loads(kept_file("openapi.json").read_text())
    # Of an installation in the list of all, GitHub describes an account that is a user *and* an
    # enterprise, which none can be; of one installation alone, as everywhere else, either.
    listed = loaded["paths"]["/app/installations"]["get"]["responses"]["200"]["content"]
    account = listed["application/json"]["schema"]["items"]["properties"]["account"]
    if "allOf" in account:
        account["anyOf"] = account.pop("allOf")
    return loaded


@cache
def description_of(version: str) -> Json:
    """GitHub's description of that version of its API; raises DescriptionMissing."""
    return described(load_description(), version)


@cache
def _registry(version: str) -> Registry[Any]:
    contents = description_of(version)
    resource = Resource.from_contents(contents, default_specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource(f"{_ROOT}:{version}", resource)
    return registry


@cache
def webhook_schemas() -> Json:
    """The schemas of all webhooks, under `definitions`."""
    loaded: Json = json.loads(kept_file("webhooks.json").read_text())
    return loaded


@cache
def _webhook_registry() -> Registry[Any]:
    resource = Resource.from_contents(webhook_schemas(), default_specification=DRAFT7)
    registry: Registry[Any] = Registry().with_resource(_HOOKS, resource)
    return registry


@cache
def event_validator(key: str) -> Any:
    """The validator of ``event$action``, or of ``event$event`` for an event without actions.

    None when GitHub has no such event.
    """
    if key not in webhook_schemas()["definitions"]:
        return None
    reference = {"$ref": f"{_HOOKS}#/definitions/{key}"}
    return _HookValidator(reference, registry=_webhook_registry())


def _absolute(node: Any, root: str) -> Any:
    if isinstance(node, dict):
        return {
            key: f"{root}{value}"
            if key == "$ref" and isinstance(value, str)
            else _absolute(value, root)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_absolute(item, root) for item in node]
    return node


def _follow(description: Json, node: Json) -> Json:
    while "$ref" in node:
        target: Any = description
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def _typed(schema: Json, text: str) -> Any:
    """A query parameter in the type that its schema names."""
    if schema.get("type") in {"integer", "number"} and re.fullmatch(r"-?\d+", text):
        return int(text)
    if schema.get("type") == "boolean" and text in {"true", "false"}:
        return text == "true"
    return text


def _told(error: jsonschema.ValidationError) -> str:
    """Where and what, by the deepest of the alternatives that failed."""
    deepest = jsonschema.exceptions.best_match([error]) or error
    where = "/".join(str(part) for part in deepest.absolute_path)
    return f"{where or 'body'}: {deepest.message[:300]}"
