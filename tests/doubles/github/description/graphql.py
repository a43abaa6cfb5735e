"""Holds GraphQL requests and answers against GitHub's public schema.

The schema is the one that `@octokit/graphql-schema` carries. Wrong requests are answered as GitHub
does: with status 200, and with the words of graphql-ruby, which GitHub's server is written with
(https://graphql-ruby.org/queries/executing_queries.html; its `VariableValidationError` and
`FieldsAreDefinedOnType`).
"""

import re
from functools import cache
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLInputType,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    build_schema,
    execute_sync,
    parse,
    type_from_ast,
    validate,
)
from graphql.utilities import coerce_input_value

from tests.doubles.github.description.fetch import kept_file
from tests.doubles.github.state import Json

_UNKNOWN_FIELD = re.compile(r"Cannot query field '(\w+)' on type '(\w+)'")
_UNKNOWN_INPUT = re.compile(r"Field '(\w+)' is not defined by type '(\w+)'")
_LACKS_INPUT = re.compile(r"Field '(\w+)' of required type '[^']+' was not provided")
_NULL_INPUT = re.compile(r"Expected non-nullable type '[^']+' not to be None")


@cache
def schema() -> GraphQLSchema:
    """GitHub's schema; raises DescriptionMissing. Takes most of a second, once."""
    text = kept_file("schema.graphql").read_text()
    return build_schema(text, assume_valid=True, no_location=True)


def errors_of(query: Any, variables: Json) -> list[Json]:
    """What of a request does not fit the schema, as GitHub answers it; none: it fits."""
    if not isinstance(query, str) or not query:
        return [{"message": "A query attribute must be specified and must be a string."}]
    try:
        document = parse(query)
    except GraphQLSyntaxError as error:
        return [{"message": f"Parse error on {error.message}", "locations": _places(error)}]
    found = [_told(error) for error in validate(schema(), document)]
    return found or _wrong_variables(document, variables)


def answered(query: str, variables: Json, data: Json) -> tuple[Json, list[str]]:
    """The answer's data with nothing but what was selected, and what the schema has against it.

    `data` are the values that the stand-in knows, by field.
    """
    done = execute_sync(schema(), parse(query), root_value=data, variable_values=variables)
    return done.data or {}, [error.message for error in done.errors or ()]


def _told(error: GraphQLError) -> Json:
    told: Json = {"message": error.message, "locations": _places(error)}
    if unknown := _UNKNOWN_FIELD.match(error.message):
        field, kind = unknown.groups()
        told["message"] = f"Field '{field}' doesn't exist on type '{kind}'"
        told["extensions"] = {"code": "undefinedField", "typeName": kind, "fieldName": field}
    return told


def _places(error: GraphQLError) -> list[Json]:
    return [{"line": at.line, "column": at.column} for at in error.locations or ()]


def _wrong_variables(document: DocumentNode, variables: Json) -> list[Json]:
    found = []
    for operation in document.definitions:
        if not isinstance(operation, OperationDefinitionNode):
            continue
        for wanted in operation.variable_definitions:
            name = wanted.variable.name.value
            kind = type_from_ast(schema(), wanted.type)
            problems = _problems(variables.get(name), kind)
            if problems and not (wanted.default_value and name not in variables):
                found.append(_provided(name, str(kind), variables.get(name), problems))
    return found


def _problems(value: Any, kind: Any) -> list[Json]:
    """What is wrong in a value of an input type, with the path to it."""
    problems: list[Json] = []

    def note(path: list[str | int], _: Any, error: GraphQLError) -> None:
        if unknown := _UNKNOWN_INPUT.match(error.message):
            at, said = [*path, unknown[1]], f"Field is not defined on {unknown[2]}"
        elif lacks := _LACKS_INPUT.match(error.message):
            at, said = [*path, lacks[1]], "Expected value to not be null"
        elif _NULL_INPUT.match(error.message):
            at, said = path, "Expected value to not be null"
        else:
            at, said = path, error.message
        problems.append({"path": at, "explanation": said})

    input_type: GraphQLInputType = kind
    coerce_input_value(value, input_type, note)
    return problems


def _provided(name: str, kind: str, value: Any, problems: list[Json]) -> Json:
    told = ", ".join(
        f"{'.'.join(str(part) for part in one['path'])} ({one['explanation']})"
        for one in problems
        if one["path"]
    )
    return {
        "message": f"Variable ${name} of type {kind} was provided invalid value"
        + (f" for {told}" if told else ""),
        "extensions": {"value": value, "problems": problems},
    }
