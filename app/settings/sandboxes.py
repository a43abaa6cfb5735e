"""Settings about sandboxes: their engine and limits, set-up and its images, pods."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode

from app.settings.base import check_url
from sandbox.egress.rules import networks_of
from sandbox.environment.image_reference import ImageReference, ImageRefused, parse_reference
from sandbox.setup.records import PUBLIC_IMAGES


def split_commas(value: object) -> object:
    """A text's parts between commas; anything else as it is."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _reference(name: str) -> ImageReference:
    try:
        return parse_reference(name)
    except ImageRefused as error:
        raise ValueError(str(error)) from None


class SandboxSettings(BaseSettings):
    """The part of `Settings` that says what a sandbox is made of and may use."""

    docker_url: str = Field(
        "", description="Docker's address; empty: the one the docker command uses."
    )
    sandbox_image: str = Field("", description="Image of the sandboxes; empty: the base image.")
    sandbox_runtime: str = Field(
        "", description="Container runtime, e.g. runsc; empty: the engine's."
    )
    sandbox_cpus: float = Field(2.0, gt=0, description="CPUs that one sandbox may use.")
    sandbox_memory_mb: int = Field(2048, ge=128, description="Memory of one sandbox, in MiB.")
    sandbox_pids: int = Field(512, ge=16, description="Processes that one sandbox may have.")
    sandbox_disk_mb: int = Field(
        4096, ge=64, description="Disk space that one sandbox may fill, in MiB."
    )

    gate_sandboxes: int = Field(
        0,
        ge=0,
        le=2,
        description="Sandboxes in which one run's gate may run tests at the same time; 0: two "
        "if the machine has two cores for each of the worker's runs, else one.",
    )

    bisect_sandboxes: int = Field(
        2,
        ge=1,
        le=16,
        description="Commits that a worker tries at the same time, each in its own sandbox, in "
        "search of the one that broke something, as far as it has places free beside its other "
        "runs; all searches share them. 1: one after another.",
    )

    @field_validator("docker_url")
    @classmethod
    def _check_docker(cls, value: str) -> str:
        return check_url(value, ("unix", "tcp", "http", "https", "ssh")) if value else value

    def gate_at_once(self, runs: int) -> int:
        """Sandboxes in which one gate may run tests at the same time, beside so many runs."""
        if self.gate_sandboxes:
            return self.gate_sandboxes
        return 2 if (os.cpu_count() or 1) >= 2 * runs else 1


class SetupSettings(BaseSettings):
    """The part of `Settings` that is about set-up, images and warm sandboxes."""

    setup: bool = Field(
        True,
        description="Whether repositories' dependencies are installed before a run; if not, every "
        "run starts from the sandbox image as it is.",
    )
    setup_network: bool = Field(
        True, description="Whether set-up may reach the hosts below; the run itself reaches none."
    )
    setup_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Hosts that set-up may reach, separated by commas; empty: the registries that "
        "this machine's own pip, npm, Go and apt use. NAME, *.NAME for all names below it, "
        "NAME:PORT for a port other than 80 and 443.",
    )
    setup_networks: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Networks (CIDR) of your own mirrors, separated by commas. All other "
        "addresses that are not public are refused, no matter which name resolves to them.",
    )
    setup_ca_file: Path | None = Field(
        None,
        description="Certificates (PEM) that set-up trusts instead of the built-in ones, for your "
        "own mirrors or a TLS-intercepting proxy. Copied into the sandbox.",
    )
    setup_credentials_file: Path | None = Field(
        None,
        description="File with lines `HOST VALUE`: the Authorization header that the set-up "
        "proxy adds to requests for that host. Never enters a sandbox.",
    )
    setup_upload_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Hosts in setup_credentials_file to which set-up may send more than GET and "
        "HEAD without a body, separated by commas; patterns as in setup_hosts.",
    )
    setup_repository_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        ("*",),
        description="Hosts that a repository's network.hosts may add, separated by commas; NAME or "
        "*.NAME. `*`: any; empty: none.",
    )
    setup_tries: int = Field(
        6,
        ge=0,
        le=50,
        description="How often the model may try other commands when set-up fails; 0: never.",
    )
    setup_minutes: float = Field(30.0, gt=0, description="Longest set-up, in minutes.")
    setup_disk_mb: int = Field(
        10_240,
        ge=64,
        description="Disk space that one set-up may fill, in MiB; it is ended above that, and when "
        "Docker's disk has lost twice this much meanwhile.",
    )
    setup_files: int = Field(
        1_000_000,
        ge=1000,
        description="Files and folders that one set-up may write; it is ended above that, and "
        "when Docker's disk has lost twice this number meanwhile.",
    )
    setup_image_registries: Annotated[tuple[str, ...], NoDecode] = Field(
        PUBLIC_IMAGES,
        description="Registries from which repositories may use images, separated by commas.",
    )
    setup_python_mirror: str = Field(
        "",
        pattern=r"^(https?://[^\s'\"]+)?$",
        description="Address of a mirror of uv's Python builds, for repositories that need another "
        "version of Python than the sandbox image has; set-up may then reach its host.",
    )
    setup_images: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Images that repositories may use without their registry being asked, if the "
        "engine holds them, separated by commas. For any other image that a repository names, the "
        "registry is asked for each run, even if the engine holds it.",
    )
    images_mb: int = Field(
        20_480,
        ge=0,
        description="Room for prepared images, in MiB; those unused for longest are removed first.",
    )
    images_days: float = Field(
        30.0, gt=0, description="Prepared images unused for longer than this are removed."
    )
    pool_size: int = Field(
        0,
        ge=0,
        le=64,
        description="Sandboxes kept running for each of the most recently used images; 0: none.",
    )
    pool_images: int = Field(
        3, ge=1, le=64, description="Number of images for which sandboxes are kept running."
    )

    @field_validator(
        "setup_hosts",
        "setup_networks",
        "setup_image_registries",
        "setup_images",
        "setup_upload_hosts",
        "setup_repository_hosts",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        return split_commas(value)

    @field_validator("setup_networks")
    @classmethod
    def _check_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        networks_of(value)
        return value

    @field_validator("setup_images")
    @classmethod
    def _check_images(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            _reference(name)
        return value

    @field_validator("setup_ca_file", "setup_credentials_file")
    @classmethod
    def _check_file(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError(f"there is no file {value}")
        return value


class KubernetesSettings(BaseSettings):
    """The part of `Settings` about sandboxes on Kubernetes."""

    sandbox_engine: Literal["docker", "kubernetes"] = Field(
        "docker",
        description="Where runs of the service get their sandboxes: docker, or kubernetes, where "
        "each is a pod. On Kubernetes, SANDBOX_RUNTIME names a RuntimeClass, and SANDBOX_IMAGE "
        "must be an image that the cluster can pull.",
    )
    kubernetes_config: Path | None = Field(
        None,
        description="A kubeconfig; empty: the cluster in which this process runs. Needs the extra "
        "`kubernetes`, like every use of a cluster.",
    )
    kubernetes_context: str = Field(
        "", description="Context of the kubeconfig that is the cluster; empty: its current one."
    )
    kubernetes_namespace: str = Field(
        "",
        pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$",
        description="Namespace of the sandboxes' pods, preferably a separate one; empty: the "
        "context's, or this process's own.",
    )
    kubernetes_start_s: float = Field(
        300.0, gt=0, description="Longest time that a sandbox's pod may take to start, in seconds."
    )
    kubernetes_registry: str = Field(
        "",
        description="Registry and path (HOST/PATH) below which the images that set-ups make on "
        "Kubernetes are kept; empty: repositories' dependencies are not installed there.",
    )
    kubernetes_registry_secret: str = Field(
        "",
        pattern=r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?$",
        description="Secret of type kubernetes.io/dockerconfigjson in the set-ups' namespace, "
        "which may push below KUBERNETES_REGISTRY and pull SANDBOX_IMAGE; empty: none is needed.",
    )
    kubernetes_registry_ca: str = Field(
        "",
        pattern=r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?$",
        description="ConfigMap in the set-ups' namespace whose `ca.crt` has the registry's "
        "certificates; empty: the copier image's own authorities are trusted.",
    )
    kubernetes_registry_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Hosts to which registries send for layers, separated by commas, besides "
        "themselves and those known of public registries; patterns as in setup_hosts.",
    )
    kubernetes_setup_namespace: str = Field(
        "patchwright-setups",
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        description="Namespace of the set-ups' Jobs, a separate one: rootless BuildKit needs more "
        "than the `restricted` Pod Security Standard allows.",
    )
    kubernetes_builder_image: str = Field(
        "",
        description="Rootless BuildKit (moby/buildkit, a -rootless tag) by digest, for set-ups on "
        "Kubernetes.",
    )
    kubernetes_copier_image: str = Field(
        "",
        description="An image with skopeo and bash (quay.io/skopeo/stable) by digest, which copies "
        "images from and to registries for set-ups on Kubernetes.",
    )

    @field_validator("kubernetes_registry_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: object) -> object:
        return split_commas(value)

    @field_validator("kubernetes_registry")
    @classmethod
    def _check_registry(cls, value: str) -> str:
        if value and str(_reference(value)) != f"{value}:latest":
            raise ValueError("must be HOST/PATH, without a tag, such as registry.example.com/debug")
        return value

    @field_validator("kubernetes_builder_image", "kubernetes_copier_image")
    @classmethod
    def _check_digest(cls, value: str) -> str:
        if value and not _reference(value).digest:
            raise ValueError("must name its digest: IMAGE@sha256:…")
        return value

    @field_validator("kubernetes_config")
    @classmethod
    def _check_config(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError(f"there is no file {value}")
        return value
