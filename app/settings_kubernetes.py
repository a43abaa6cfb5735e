"""Settings about sandboxes that are pods of a Kubernetes cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings


class KubernetesSettings(BaseSettings):
    """The part of `app.settings.schema.Settings` that says where runs get their sandboxes."""

    sandbox_engine: Literal["docker", "kubernetes"] = Field(
        "docker",
        description="Where runs of the service get their sandboxes: docker, or kubernetes, which "
        "makes each a pod. On Kubernetes, SANDBOX_RUNTIME names a RuntimeClass, and SANDBOX_IMAGE "
        "must be an image that the cluster can pull.",
    )
    kubernetes_config: Path | None = Field(
        None,
        description="A kubeconfig, whose current context is the cluster; empty: the cluster that "
        "this process runs in.",
    )
    kubernetes_namespace: str = Field(
        "",
        pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$",
        description="Namespace of the sandboxes' pods; best one of their own. Empty: the "
        "context's, or this process' own.",
    )
    kubernetes_start_s: float = Field(
        300.0, gt=0, description="Longest time that a sandbox's pod may take to run, in seconds."
    )

    @field_validator("kubernetes_config")
    @classmethod
    def _check_config(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError(f"there is no file {value}")
        return value
