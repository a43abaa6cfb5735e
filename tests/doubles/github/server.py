"""Starts the stand-in GitHub: in a thread for tests, or in the foreground for the demo."""

import secrets
import socket
import tempfile
import threading
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

import uvicorn
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.doubles.github.asgi import Site
from tests.doubles.github.description import fetch as description
from tests.doubles.github.description.unvalidated import NoValidation
from tests.doubles.github.state import AppRegistration, Urls, User, World

PERMISSIONS = {
    "actions": "write",
    "checks": "write",
    "contents": "write",
    "issues": "write",
    "merge_queues": "read",
    "metadata": "read",
    "pull_requests": "write",
}
EVENTS = (
    "check_run",
    "check_suite",
    "issue_comment",
    "issues",
    "merge_group",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "push",
    "workflow_run",
)
GHES = "/api/v3"


@dataclass(frozen=True)
class Options:
    """How a stand-in is started; ``validate`` None means: when the description is cached."""

    host: str = "127.0.0.1"
    port: int = 0
    root: Path | None = None
    api_prefix: str = GHES
    slug: str = "patchwright"
    webhook_url: str = ""
    webhook_secret: str = ""
    private_key_pem: str = ""
    validate: bool | None = True


class GithubServer:
    """A running stand-in GitHub; a context manager that serves from a thread.

    ``url`` is the REST base URL, ``git_url`` the base of ``{git_url}/{owner}/{repo}.git``.
    """

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()
        self._socket = socket.create_server((self.options.host, self.options.port))
        # Inherited by each connection; else an answer in two parts waits 40 ms for an ACK.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        port = self._socket.getsockname()[1]
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        root = self.options.root
        if root is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="stand-in-github-")
            root = Path(self._temporary.name)
        urls = Urls(f"http://{self.options.host}:{port}", self.options.api_prefix)
        self.world_state = World(urls, root.resolve())
        self.world_state.app = _register(self.world_state, self.options)
        self._validation = _validation(self.options.validate)
        site = Site(self.world_state, self._validation, self._validation.violations)
        config = uvicorn.Config(
            site.application(),
            log_level="critical",
            lifespan="on",
            timeout_graceful_shutdown=1,
            timeout_keep_alive=600,  # clients that pause on a busy machine would be reset
        )
        self._uvicorn = uvicorn.Server(config)
        self._thread = threading.Thread(target=self.serve, name="stand-in-github", daemon=True)

    @property
    def url(self) -> str:
        """The REST API's base URL."""
        return self.world_state.urls.api

    @property
    def git_url(self) -> str:
        """Base URL of repositories and pages."""
        return self.world_state.urls.web

    @property
    def admin_url(self) -> str:
        """What ``GithubWorld`` takes."""
        return self.world_state.urls.web

    @property
    def app_id(self) -> int:
        """The App's id."""
        return self.world_state.app.id

    @property
    def private_key_pem(self) -> str:
        """The App's private key."""
        return self.world_state.app.private_key_pem

    @property
    def webhook_secret(self) -> str:
        """The secret that deliveries are signed with."""
        return self.world_state.app.webhook_secret

    @property
    def bot_login(self) -> str:
        """The login under which the App acts."""
        return self.world_state.app.bot.login

    @property
    def violations(self) -> list[str]:
        """What did not fit GitHub's description so far; tests assert that it is empty."""
        return self._validation.violations

    def serve(self) -> None:
        """Serve until stopped; blocks."""
        self._uvicorn.run(sockets=[self._socket])

    def close(self) -> None:
        """Free the port and what is temporary."""
        self._socket.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def __enter__(self) -> "GithubServer":
        # The socket listens already: a request that comes early waits and is not refused.
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._uvicorn.should_exit = True
        self._thread.join(timeout=10)
        self.close()


def _validation(wanted: bool | None) -> NoValidation:
    """Its libraries are there for development only, so the demo must do without."""
    if wanted is None:
        wanted = description.is_cached() and find_spec("openapi_schema_validator") is not None
    if not wanted:
        return NoValidation()
    from tests.doubles.github.description.validation import OfficialValidation

    return OfficialValidation()


def _register(world: World, options: Options) -> AppRegistration:
    private, public = _keys(options.private_key_pem)
    owner = world.add_user("patchwright-makers", "Organization")
    bot = User(world.next_id(), f"{options.slug}[bot]", "Bot")
    world.users[bot.login.lower()] = bot
    return AppRegistration(
        id=world.next_id(),
        slug=options.slug,
        name=options.slug.title(),
        owner=owner,
        bot=bot,
        private_key_pem=private,
        public_key_pem=public,
        webhook_secret=options.webhook_secret or secrets.token_hex(16),
        webhook_url=options.webhook_url,
        permissions=dict(PERMISSIONS),
        events=EVENTS,
        created_at=world.now(),
    )


def _keys(given: str) -> tuple[str, str]:
    if given:
        key = serialization.load_pem_private_key(given.encode(), password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise ValueError("the App's private key must be an RSA key")
    else:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()
