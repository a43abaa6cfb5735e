"""Operations on the fields that an organisation gives its issues."""

import re
from typing import Any

from tests.doubles.github.operations.issue_changes import emit_item
from tests.doubles.github.operations.operation import (
    Answer,
    Call,
    GithubError,
    Table,
    invalid,
    not_found,
    paged,
)
from tests.doubles.github.shapes import issue_fields
from tests.doubles.github.state import Issue, IssueField, Json

table = Table()
_VALUES = "/repos/{owner}/{repo}/issues/{issue_number}/issue-field-values"
MOST_VALUES = 25


@table.add("issues/list-issue-field-values-for-issue", f"GET {_VALUES}", needs="issues:read")
def list_values(call: Call) -> Answer:
    """The values that an issue has."""
    return paged(call, issue_fields.values(call.world, call.issue()))


@table.add("issues/add-issue-field-values", f"POST {_VALUES}", needs="issues:write", role="write")
def add_values(call: Call) -> Answer:
    """Give an issue values, each with its event; only people who may push can."""
    item, known = call.issue(), call.world.issue_fields[call.repo.owner.id]
    given = call.body["issue_field_values"]
    if len(given) > MOST_VALUES:
        raise GithubError(422, "Validation Failed")
    found: list[tuple[IssueField, Any]] = []
    for one in given:
        field = next((field for field in known if field.id == one["field_id"]), None)
        if field is None:
            raise not_found()
        if not _fits(field, one["value"]):
            raise invalid("IssueFieldValue", "value", "invalid")
        found.append((field, one["value"]))
    for field, value in found:
        _set(call, item, field, value)
    return Answer(200, issue_fields.values(call.world, item))


def _set(call: Call, item: Issue, field: IssueField, value: Any) -> None:
    item.fields[field.id] = value
    item.updated_at = call.world.now()
    told: Json = {"id": field.id, "name": field.name, "field_type": field.data_type}
    changed = issue_fields.changed(field, value)
    emit_item(call, item, "field_added", issue_field=told, issue_field_value=changed)


def _fits(field: IssueField, value: Any) -> bool:
    """Whether a value is one of the field's kind; of a select, one of its options."""
    match field.data_type:
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "date":
            return isinstance(value, str) and bool(re.fullmatch(r"\d{4}-\d\d-\d\d", value))
        case "single_select":
            return value in field.options
        case "multi_select":
            return isinstance(value, list) and all(one in field.options for one in value)
    return isinstance(value, str)
