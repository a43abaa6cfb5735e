"""Operations of the App itself: installations, tokens, deliveries, manifests, rate limit."""

import secrets
from datetime import timedelta

from tests.doubles.github.operations.operation import (
    Answer,
    Call,
    GithubError,
    Table,
    grants,
    invalid,
    not_found,
    paged,
    whole,
)
from tests.doubles.github.shapes import basic
from tests.doubles.github.state import Delivery, Installation, Json, Token, stamp

table = Table()
TOKEN_LIFE = timedelta(hours=1)
_APP = ("app",)


@table.add("apps/get-authenticated", "GET /app", by=_APP)
def get_app(call: Call) -> Answer:
    """The App, with how often it is installed."""
    count = {"installations_count": len(call.world.installations)}
    return Answer(200, basic.app(call.world) | count)


@table.add("apps/list-installations", "GET /app/installations", by=_APP)
def list_installations(call: Call) -> Answer:
    """All installations."""
    known = call.world.installations.values()
    return paged(call, [basic.installation(call.world, item) for item in known])


def _installation(call: Call) -> Installation:
    known = call.world.installations.get(call.number("installation_id"))
    if known is None:
        raise not_found()
    return known


@table.add("apps/get-installation", "GET /app/installations/{installation_id}", by=_APP)
def get_installation(call: Call) -> Answer:
    """One installation."""
    return Answer(200, basic.installation(call.world, _installation(call)))


@table.add("apps/get-repo-installation", "GET /repos/{owner}/{repo}/installation", by=_APP)
def get_repo_installation(call: Call) -> Answer:
    """The installation that covers a repository; 404 when none does."""
    known = call.world.installation_for(call.repo)
    if known is None:
        raise not_found()
    return Answer(200, basic.installation(call.world, known))


@table.add("apps/get-org-installation", "GET /orgs/{org}/installation", by=_APP)
def get_org_installation(call: Call) -> Answer:
    """The installation in an organisation."""
    return _account_installation(call, call.path["org"])


@table.add("apps/get-user-installation", "GET /users/{username}/installation", by=_APP)
def get_user_installation(call: Call) -> Answer:
    """The installation in a user's account."""
    return _account_installation(call, call.path["username"])


def _account_installation(call: Call, login: str) -> Answer:
    for known in call.world.installations.values():
        if known.account.login.lower() == login.lower():
            return Answer(200, basic.installation(call.world, known))
    raise not_found()


@table.add(
    "apps/create-installation-access-token",
    "POST /app/installations/{installation_id}/access_tokens",
    by=_APP,
)
def create_token(call: Call) -> Answer:
    """A token for an hour, narrowed to the repositories and permissions that are asked for."""
    known, world = _installation(call), call.world
    if known.suspended_at is not None:
        raise GithubError(403, "This installation has been suspended")
    permissions = call.body.get("permissions") or dict(known.permissions)
    if not all(grants(known.permissions, f"{name}:{lvl}") for name, lvl in permissions.items()):
        raise GithubError(422, "The permissions requested are not granted to this installation.")
    chosen = _chosen_repositories(call, known)
    token = Token(
        value="ghs_" + secrets.token_hex(18),
        installation=known,
        permissions={"metadata": "read", **permissions},
        repo_ids=chosen,
        expires_at=world.now() + TOKEN_LIFE,
    )
    world.tokens[token.value] = token
    selected = chosen is not None or known.repo_ids is not None
    body: Json = {
        "token": token.value,
        "expires_at": stamp(token.expires_at),
        "permissions": token.permissions,
        "repository_selection": "selected" if selected else "all",
    }
    if chosen is not None:
        repos = [repo for repo in world.repos.values() if repo.id in chosen]
        body["repositories"] = [basic.repository(world, repo) for repo in repos]
    return Answer(201, body)


def _chosen_repositories(call: Call, known: Installation) -> frozenset[int] | None:
    names, ids = call.body.get("repositories"), call.body.get("repository_ids")
    if names is None and ids is None:
        return None
    covered = [repo for repo in call.world.repos.values() if known.covers(repo)]
    found = {r.id for r in covered if r.name in (names or []) or r.id in (ids or [])}
    if len(found) < len(names or []) + len(ids or []):
        raise GithubError(
            422,
            "There is at least one repository that does not exist or is not accessible to the "
            "parent installation.",
        )
    return frozenset(found)


@table.add("apps/revoke-installation-access-token", "DELETE /installation/token")
def revoke_token(call: Call) -> Answer:
    """The calling token ends now."""
    if call.actor.token is None:
        raise GithubError(403, "Resource not accessible by personal access token")
    del call.world.tokens[call.actor.token.value]
    return Answer(204)


@table.add(
    "apps/list-repos-accessible-to-installation",
    "GET /installation/repositories",
    by=("installation",),
)
def installation_repositories(call: Call) -> Answer:
    """What the token can reach."""
    token = call.actor.token
    assert token is not None
    reach = [
        repo
        for repo in call.world.repos.values()
        if token.installation.covers(repo) and (token.repo_ids is None or repo.id in token.repo_ids)
    ]
    return paged(call, [basic.repository(call.world, r) for r in reach], "repositories")


def _item(delivery: Delivery) -> Json:
    return {
        "id": delivery.id,
        "guid": delivery.guid,
        "delivered_at": stamp(delivery.delivered_at),
        "redelivery": delivery.redelivery,
        "duration": delivery.duration_s,
        "status": delivery.status,
        "status_code": delivery.status_code,
        "event": delivery.event,
        "action": delivery.action,
        "installation_id": delivery.installation_id,
        "repository_id": delivery.repository_id,
    }


@table.add("apps/list-webhook-deliveries", "GET /app/hook/deliveries", by=_APP)
def list_deliveries(call: Call) -> Answer:
    """The deliveries, newest first; ``cursor`` is the id after which to go on."""
    size = min(max(whole(call.query.get("per_page"), 30), 1), 100)
    newest = sorted(call.world.deliveries, key=lambda delivery: -delivery.id)
    if "cursor" in call.query:
        last = whole(call.query["cursor"].removeprefix("v1_"), 0)
        newest = [d for d in newest if d.id < last]
    page = newest[:size]
    headers = {"X-Next-Cursor": f"v1_{page[-1].id}"} if len(newest) > size else {}
    return Answer(200, [_item(delivery) for delivery in page], headers)


def _delivery(call: Call) -> Delivery:
    wanted = call.number("delivery_id")
    for delivery in call.world.deliveries:
        if delivery.id == wanted:
            return delivery
    raise not_found()


@table.add("apps/get-webhook-delivery", "GET /app/hook/deliveries/{delivery_id}", by=_APP)
def get_delivery(call: Call) -> Answer:
    """One delivery with what was sent and answered."""
    known = _delivery(call)
    sent = {"headers": known.request_headers or None, "payload": known.payload}
    answered = {"headers": known.response_headers or None, "payload": known.response_body or None}
    return Answer(200, _item(known) | {"request": sent, "response": answered})


@table.add(
    "apps/redeliver-webhook-delivery",
    "POST /app/hook/deliveries/{delivery_id}/attempts",
    by=_APP,
)
def redeliver(call: Call) -> Answer:
    """Send it again."""
    call.hooks.redeliver(_delivery(call))
    return Answer(202, {})


@table.add("apps/create-from-manifest", "POST /app-manifests/{code}/conversions", by=("anyone",))
def convert_manifest(call: Call) -> Answer:
    """The registered App with its secrets, once for each code."""
    manifest = call.world.manifests.pop(call.path["code"], None)
    if manifest is None:
        raise not_found()
    if "url" not in manifest:
        raise invalid("Integration", "url", "missing_field")
    app = call.world.app
    known = basic.app(call.world)
    known["name"] = manifest.get("name", known["name"])
    secret = {
        "client_id": f"Iv1.{app.id:016x}",
        "client_secret": secrets.token_hex(20),
        "webhook_secret": app.webhook_secret,
        "pem": app.private_key_pem,
    }
    return Answer(201, known | secret)


@table.add("rate-limit/get", "GET /rate_limit", by=("anyone",))
def rate_limit(call: Call) -> Answer:
    """What is left; this call itself costs nothing."""
    rate = call.world.limits[call.actor.installation_id].as_json(call.world.now())
    return Answer(200, {"resources": {"core": rate, "search": rate}, "rate": rate})


@table.add("meta/get", "GET /meta", by=("anyone",))
def meta(call: Call) -> Answer:
    """What this server is."""
    return Answer(200, {"verifiable_password_authentication": False})


@table.add("users/get-by-username", "GET /users/{username}")
def get_user(call: Call) -> Answer:
    """A public profile."""
    who = call.world.user(call.path["username"])
    if who is None:
        raise not_found()
    return Answer(200, basic.user_full(call.world, who))


@table.add("users/get-authenticated", "GET /user", by=("user",))
def get_me(call: Call) -> Answer:
    """The calling person."""
    me = basic.user_full(call.world, call.user)
    extra = {"two_factor_authentication": True, "private_gists": 0, "total_private_repos": 0}
    extra |= {"owned_private_repos": 0, "disk_usage": 0, "collaborators": 0}
    return Answer(200, me | extra)
