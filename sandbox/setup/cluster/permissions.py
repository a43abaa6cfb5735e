"""What an account must be permitted for set-ups, asked of the cluster itself.

https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access
"""

from __future__ import annotations

from typing import Any

from sandbox.kubernetes.api import Api, Object

NEEDED = (
    ("batch", "jobs", "", ("create", "list", "delete")),
    ("", "pods", "", ("get", "list")),
    ("", "pods", "log", ("get",)),
    ("", "pods", "exec", ("get", "create")),
    ("networking.k8s.io", "networkpolicies", "", ("get", "create")),
)
"""API group, resource, part of it, and verbs; `deploy/` gives the same."""


async def missing_permissions(api: Api, namespace: str) -> list[str]:
    """What is missing in a namespace, as "create jobs". Errors as `Api.call`."""
    missing = []
    for group, resource, part, verbs in NEEDED:
        for verb in verbs:
            answer = await _allowed(api, _review(namespace, group, resource, part, verb))
            if not answer.get("status", {}).get("allowed"):
                missing.append(f"{verb} {resource}{'/' if part else ''}{part}")
    return missing


async def _allowed(api: Api, review: dict[str, Any]) -> Object:
    return await api.ask(lambda c: c.authorization.create_self_subject_access_review(review))


def _review(namespace: str, group: str, resource: str, part: str, verb: str) -> dict[str, Any]:
    asked = {"namespace": namespace, "verb": verb, "group": group, "resource": resource}
    if part:
        asked["subresource"] = part
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
