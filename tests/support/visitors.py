"""Visitors of pages: the operator, and Ann with a role in each repository."""

from __future__ import annotations

from collections.abc import Mapping

from app.github.records import Permission, Role
from app.web.auth.github_sign_in import Account
from app.web.auth.visitors import Place, RoleSource, Visitor

OPERATOR, ANN = Visitor("", ""), Visitor("ann", "", 1)


def roles_of(roles: Mapping[int, Role], *, private: bool) -> RoleSource:
    """Everybody has these roles, by the repository's id; private pages need `write`."""

    async def role_of(place: Place, _account: Account) -> Permission:
        role = roles[place.repository_id]
        return Permission(role, role)

    async def required_role(_place: Place) -> Role:
        return "write"

    async def is_private(_place: Place) -> bool:
        return private

    return RoleSource(role_of, required_role, is_private)
