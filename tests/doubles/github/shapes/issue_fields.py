"""JSON of the types and fields that an organisation gives its issues, as GitHub writes it.

"Managing issue fields in an organization" at docs.github.com, and the descriptions `issue-type`,
`issue-field-value` and `webhook-issues-field-added`.
"""

from typing import Any

from tests.doubles.github.state import Issue, IssueField, Json, Repo, World, node_id, stamp


def of_issue(world: World, repo: Repo, item: Issue) -> Json:
    """What an issue has because its repository is an organisation's; else nothing."""
    if repo.owner.kind != "Organization" or item.pull is not None:
        return {}
    return {"type": issue_type(world, item), "issue_field_values": values(world, item)}


def issue_type(world: World, item: Issue) -> Json | None:
    """The type of an issue: Bug, Feature, Task or one of the organisation's own."""
    if not item.type:
        return None
    number = sum(item.type.encode())
    return {
        "id": number,
        "node_id": node_id("IssueType", number),
        "name": item.type,
        "description": None,
        "color": "red",
        "created_at": stamp(item.created_at),
        "updated_at": stamp(item.created_at),
        "is_enabled": True,
    }


def values(world: World, item: Issue) -> list[Json]:
    """The values of an issue's fields."""
    known = {field.id: field for fields in world.issue_fields.values() for field in fields}
    return [_value(known[number], value) for number, value in item.fields.items()]


def _value(field: IssueField, value: Any) -> Json:
    told: Json = {
        "issue_field_id": field.id,
        "issue_field_name": field.name,
        "node_id": node_id("IssueField", field.id),
        "data_type": field.data_type,
        "value": value,
    }
    if field.data_type == "single_select":
        told["single_select_option"] = _option(field, value)
        told["value"] = field.options[value]  # the id, where a select of several has names
    if field.data_type == "multi_select":
        told["multi_select_options"] = [_option(field, one) for one in value]
        told["value"] = ",".join(value)
    return told


def _option(field: IssueField, name: str) -> Json:
    return {"id": field.options[name], "name": name, "color": "red"}


def changed(field: IssueField, value: Any) -> Json:
    """A value as the event of its change tells it."""
    if field.data_type == "single_select":
        return {"id": 1, "value_id": field.options[value], "option": _option(field, value)}
    if field.data_type == "multi_select":
        options = [_option(field, one) for one in value]
        return {"id": 1, "value_ids": [one["id"] for one in options], "options": options}
    return {"id": 1, "value": value}
