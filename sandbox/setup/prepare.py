"""The set-up phase: an image with a repository's environment in it, made once and then kept.

Commands of the repository run in a container whose only way out is the egress proxy. What they
install outside of the tree is in the image; what they add to the tree (built extensions, packages
of Node) is kept beside it and joins the tree when a sandbox opens. The tree itself is not kept.
"""

from __future__ import annotations

import asyncio
import re
import shlex
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sandbox.docker.container import Container
from sandbox.docker.engine import DockerEngine
from sandbox.docker.options import COMMAND_USER, INSTALLATION_LABEL, RUN_LABEL
from sandbox.egress.proxy import EgressProxy
from sandbox.egress.rules import EgressRules
from sandbox.environment.choose import own_venv
from sandbox.environment.compiled import OFFLINE
from sandbox.environment.records import Environment, Step, recipe_hash
from sandbox.errors import SandboxError, SandboxGone
from sandbox.images.base_image import BASE_IMAGE
from sandbox.setup.container import CA_FILE, SetupSpec, as_list, setup_environment, setup_options
from sandbox.setup.network import way_out
from sandbox.setup.prepared_images import (
    PREPARED_LABEL,
    REPOSITORY,
    SCOPE_LABEL,
    SOURCE_LABEL,
    image_environment,
    image_id,
    pull,
    use,
)
from sandbox.setup.scripts import BEGIN, FINISH, NEEDED
from sandbox.shell.bash import BATCH, Shell, ShellDied

PUBLIC_IMAGES = ("docker.io", "ghcr.io", "quay.io", "mcr.microsoft.com", "public.ecr.aws")

_LOG_BYTES = 512 * 1024
_LAST_LINES = 15
_WATCH_S = 3.0
_OWN_STEP_S = 900.0
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_EMPTY_TAR = bytes(10240)
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")

Progress = Callable[[str], None]


class SetupFailed(SandboxError):
    """A command of a set-up failed; the message names it, with its last lines."""

    def __init__(
        self, environment: Environment, command: str, why: str, log: str, refused: Sequence[str]
    ) -> None:
        self.environment = environment
        self.command = command
        self.why = why
        self.log = log
        """Everything that the set-up printed, its middle left out when it is very long."""
        self.refused = tuple(refused)
        """What the proxy did not let through, and why."""
        last = "\n".join(log.rstrip().splitlines()[-_LAST_LINES:])
        message = f"Set-up by {environment.source} failed at `{command}` ({why})"
        message += f":\n{last}" if last else "."
        if refused:
            message += (
                "\nThe set-up's proxy refused: " + "; ".join(refused) + ". Hosts are permitted "
                "by `network.hosts` in .github/patchwright.yml and by the operator's settings."
            )
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class SetupPolicy:
    """What a set-up may do and use."""

    rules: EgressRules = field(default_factory=EgressRules)
    network: bool = True
    ca_file: Path | None = None
    """Certificates (PEM) that the set-up's tools and the proxy trust instead of their own."""
    timeout_s: float = 1800.0
    disk_bytes: int = 10 * 1024**3
    """Most that the set-up may write. Watched: what is written between two looks comes on top."""
    image_registries: tuple[str, ...] = PUBLIC_IMAGES
    relay_image: str = BASE_IMAGE


@dataclass(frozen=True, slots=True)
class Prepared:
    """The image that sandboxes of a repository start from."""

    image: str
    environment: Environment
    cached: bool
    """Whether it was there already."""
    duration_s: float
    failed: tuple[SetupFailed, ...] = ()
    """Candidates that were tried before."""


async def prepare(
    engine: DockerEngine,
    tree: Path,
    texts: Mapping[str, str],
    candidates: Sequence[Environment],
    spec: SetupSpec,
    policy: SetupPolicy,
    *,
    scope: str,
    progress: Progress = lambda _: None,
) -> Prepared:
    """The image of the first candidate that works; `spec.image` is the base image.

    Raises `SetupFailed` when a candidate that was asked for, or every one, fails; other
    `SandboxError`s when the engine does.
    """
    begun = time.monotonic()
    failed: list[SetupFailed] = []
    for environment in candidates:
        if environment.is_bare:
            spent = time.monotonic() - begun
            return Prepared(spec.image, environment, True, spent, tuple(failed))
        try:
            image, cached = await _prepare_one(
                engine, tree, texts, environment, spec, policy, scope, progress
            )
        except SetupFailed as error:
            failed.append(error)
            progress(str(error))
            if environment.explicit:
                raise
            continue
        return Prepared(image, environment, cached, time.monotonic() - begun, tuple(failed))
    raise failed[-1] if failed else SandboxError("There is no environment to prepare")


async def _prepare_one(
    engine: DockerEngine,
    tree: Path | None,
    texts: Mapping[str, str],
    environment: Environment,
    spec: SetupSpec,
    policy: SetupPolicy,
    scope: str,
    progress: Progress,
) -> tuple[str, bool]:
    if (toolchain := environment.toolchain) is not None:
        try:
            image, _ = await _prepare_one(
                engine, tree, texts, toolchain, spec, policy, scope, progress
            )
        except SetupFailed as error:
            raise SetupFailed(
                environment, error.command, error.why, error.log, error.refused
            ) from None
        environment = environment.on(image)
    if environment.is_toolchain:
        # Made without the tree, so that it may serve every repository.
        tree, texts, scope = None, {}, ""
    base = environment.image or spec.image
    try:
        await pull(engine, base, policy.image_registries)
    except SandboxError as error:
        raise SetupFailed(environment, f"FROM {base}", str(error), "", ()) from None
    recipe = recipe_hash(environment, await image_id(engine, base), texts, scope)
    if tag := await use(engine, recipe):
        return tag, True
    progress(f"Preparing the environment by {environment.source} …")
    spec = replace(spec, image=base)
    proxy = None
    if policy.network:
        proxy = EgressProxy(policy.rules, ca_file=str(policy.ca_file or ""))
    variables = await _variables(engine, base, environment)
    async with (
        way_out(engine, spec, policy.relay_image, proxy) as relay,
        engine.container(setup_options(spec, relay)) as container_id,
    ):
        inside = await engine.inside(container_id)
        await _Setup(engine, inside, environment, policy, proxy, variables).run(tree, progress)
        labels = {
            PREPARED_LABEL: recipe,
            SCOPE_LABEL: scope,
            SOURCE_LABEL: environment.source[:200],
            INSTALLATION_LABEL: spec.owner or spec.installation,
            RUN_LABEL: "",
        }
        # What is shared is a set-up's base, which has a network.
        offline = {} if environment.is_toolchain else dict(OFFLINE)
        kept = as_list({**variables, **offline})
        config = {"Env": kept, "Labels": labels, "User": COMMAND_USER}
        await engine.call(lambda client: _commit(client, container_id, recipe, config))
    return f"{REPOSITORY}:{recipe}", False


def _commit(client: Any, container_id: str, recipe: str, config: dict[str, Any]) -> None:
    client.api.commit(container_id, repository=REPOSITORY, tag=recipe, conf=config)


async def _variables(engine: DockerEngine, base: str, environment: Environment) -> dict[str, str]:
    """The image's variables with the environment's own, in which earlier ones are put in."""
    known = {"PATH": _DEFAULT_PATH, **await image_environment(engine, base)}
    for name, value in environment.variables:
        known[name] = _VARIABLE.sub(lambda m: known.get(m[1] or m[2], ""), value)
    return known


class _Setup:
    """One set-up in its container."""

    def __init__(
        self,
        engine: DockerEngine,
        container: Container,
        environment: Environment,
        policy: SetupPolicy,
        proxy: EgressProxy | None,
        variables: dict[str, str],
    ) -> None:
        self._engine = engine
        self._container = container
        self._environment = environment
        self._policy = policy
        self._proxy = proxy
        self._variables = variables
        self._log = bytearray()
        self._too_large = False
        self._deadline = time.monotonic() + policy.timeout_s

    async def run(self, tree: Path | None, progress: Progress) -> None:
        """Unpack the tree, do the steps, and leave the container as it is to be kept."""
        async with self._watched():
            await self._begin(tree)
            for step in self._environment.steps:
                progress(f"  {step.command.splitlines()[0][:120]}")
                await self._step(step)
            await self._own("keeping the result", FINISH)

    async def _begin(self, tree: Path | None) -> None:
        certificates = self._certificates()
        await self._own("trusting certificates", f"cat >{CA_FILE}", certificates)
        await self._own("installing what a sandbox needs", NEEDED)
        await self._own("unpacking the tree", BEGIN, tree or _EMPTY_TAR)

    def _certificates(self) -> bytes:
        """What the set-up trusts: the operator's file, and the proxy when it reads requests."""
        own = self._policy.ca_file.read_bytes() if self._policy.ca_file else b""
        pem = self._proxy.authority_pem.encode() if self._proxy else b""
        return own + b"\n" + pem if own or pem else b""

    async def _step(self, step: Step) -> None:
        left = self._deadline - time.monotonic()
        limit = f"not done within {self._policy.timeout_s:.0f} s"
        if left <= 0:
            raise self._failure(step.command, limit)
        line = f"cd {shlex.quote(step.folder)} && {{ {step.command}\n}}"
        user = "0:0" if step.root else COMMAND_USER
        self._log += f"$ {step.command}\n".encode()
        status = await self._shell(line, user, left)
        if status is None:
            raise self._failure(step.command, limit)
        if status != 0:
            raise self._failure(step.command, f"exit {status}")

    async def _own(self, what: str, script: str, payload: bytes | Path = b"") -> None:
        """A script of ours, as root, with an input of known size."""
        status = await self._shell(script, "0:0", _OWN_STEP_S, payload)
        if status != 0:
            raise self._failure(what, "no answer" if status is None else f"exit {status}")

    async def _shell(
        self, line: str, user: str, timeout_s: float, payload: bytes | Path = b""
    ) -> int | None:
        """The exit status of a command in a shell of its own; None at the time limit."""
        trusts = bool(self._policy.ca_file or (self._proxy and self._proxy.authority_pem))
        path = self._variables["PATH"]
        given = setup_environment(network=self._proxy is not None, trusts=trusts, path=path)
        environment = as_list({**self._variables, **given})
        try:
            shell = await self._container.start_shell(BATCH, user=user, environment=environment)
            try:
                return await self._answer(shell, line, timeout_s, payload)
            finally:
                shell.drop()
        except (ShellDied, SandboxGone) as error:
            if isinstance(error, ShellDied):
                self._log += error.partial.output
            why = f"more than {self._policy.disk_bytes / 1e9:.1f} GB written"
            raise self._failure(line, why if self._too_large else "the container died") from None

    async def _answer(
        self, shell: Shell, line: str, timeout_s: float, payload: bytes | Path
    ) -> int | None:
        if payload:
            size = len(payload) if isinstance(payload, bytes) else payload.stat().st_size
            await shell.begin_with(f"head -c {size} | {{ {line}\n}}".encode(), _LOG_BYTES, payload)
        else:
            shell.begin(f"({line}\n)".encode(), _LOG_BYTES)
        captured = await shell.wait(timeout_s)
        self._log += (captured or shell.partial()).output
        del self._log[_LOG_BYTES : -_LOG_BYTES or None]
        return captured.status if captured else None

    def _failure(self, command: str, why: str) -> SetupFailed:
        refused = list(self._proxy.refused) if self._proxy else []
        log = self._log.decode("utf-8", "replace")
        return SetupFailed(self._environment, command, why, log, refused)

    @asynccontextmanager
    async def _watched(self) -> AsyncIterator[None]:
        """Meanwhile look how much is written, and end the container when it is too much."""

        async def watch() -> None:
            while True:
                await asyncio.sleep(_WATCH_S)
                if await self._engine.call(self._written) > self._policy.disk_bytes:
                    self._too_large = True
                    await self._container.remove()
                    return

        task = asyncio.create_task(watch())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    def _written(self, client: Any) -> int:
        only = {"id": self._container.id}
        found = client.api.containers(all=True, size=True, filters=only)
        return int(found[0].get("SizeRw") or 0) if found else 0


def proposal(environment: Environment) -> str:
    """The recipe as text for `.github/patchwright.yml`; empty when there is nothing to say."""
    if environment.is_bare or environment.explicit:
        return ""
    lines = [f"image: {environment.image}"] if environment.image else []
    # Where the settings say nothing of an image, commands find a virtual environment made.
    steps = [step for step in environment.steps if environment.image or step.command != own_venv()]
    if steps:
        lines.append("setup:")
        for step in steps:
            prefix = "" if step.folder == "." else f"cd {shlex.quote(step.folder)} && "
            lines.append("  - " + _yaml_text(prefix + step.command))
    return "\n".join(lines) + "\n"


def _yaml_text(text: str) -> str:
    """A one-line string in YAML's single quotes."""
    return "'" + text.replace("\n", "; ").replace("'", "''") + "'"
