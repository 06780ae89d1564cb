"""Container definitions in the one spelling that ECS gives back, so that a second `up` finds no difference.

ECS fills in what was left out and returns lists in its own order; a definition that differs only in that is replaced
on every update (pulumi-aws#4576), and each replacement is a revision, a deployment and a false alarm in a review. So
everything that ECS would fill in is said, lists whose order means nothing are sorted, and the text has one form. Pure.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.contract import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow_backend.aws.render.secrets import SecretSource
    from mlflow_backend.server import Probe, SecretTemplate

Definition = dict[str, Any]

# The image's own user (server/Dockerfile); said again here so that an image that forgot it does not run as root.
USER: Final = "10001:10001"
TEMPORARY: Final = "/tmp"  # noqa: S108 - a volume of the task's own, not a shared folder
SPOOL: Final = "/var/spool/mlflow"
VOLUMES: Final[Mapping[str, str]] = {"spool": SPOOL, "tmp": TEMPORARY}
"""Volume -> where it is mounted. The root file system is read-only, and uploads are spooled before they are sent on."""

# Bounds of a container health check (ECS API reference, HealthCheck).
_LONGEST_START_S: Final = 300
_HEALTH_RETRIES: Final = 3
_LOG_BUFFER: Final = "25m"

VERSION_LABEL: Final = "mlflow-backend.mlflow-version"
SETTINGS_LABEL: Final = "mlflow-backend.settings"
SECRETS_LABEL: Final = "mlflow-backend.secrets"
"""Docker labels of each container, so that a revision says what it runs to whoever reads it later."""


@dataclass(frozen=True, kw_only=True)
class Container:
    """What one container is, in this project's words. `health` is a command that ends with 0 when all is well.

    `registry_secret` is the ARN of the login to the image's registry, None if ECR or nobody asks for one.
    """

    name: str
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    secrets: Mapping[str, SecretSource]
    log_group: str
    region: str
    stop_timeout_s: int
    port: int | None = None
    health: tuple[str, ...] = ()
    probe: Probe | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    registry_secret: str | None = None


def definition(container: Container) -> Definition:
    """Return the definition of `container`. Raises ValueError for a name in both environment and secrets."""
    if twice := set(container.environment) & set(container.secrets):
        raise ValueError(f"both plain and secret in the environment of {container.name}: {', '.join(sorted(twice))}")
    found: Definition = {
        "name": container.name,
        "image": container.image,
        "command": list(container.command),
        "cpu": 0,
        "essential": True,
        "user": USER,
        "readonlyRootFilesystem": True,
        "privileged": False,
        "linuxParameters": {"capabilities": {"add": [], "drop": ["ALL"]}, "initProcessEnabled": True},
        "environment": _pairs("value", container.environment),
        "secrets": _pairs("valueFrom", {name: value_from(source) for name, source in container.secrets.items()}),
        "mountPoints": [
            {"sourceVolume": volume, "containerPath": path, "readOnly": False}
            for volume, path in sorted(VOLUMES.items())
        ],
        "portMappings": [],
        "volumesFrom": [],
        "systemControls": [],
        "dockerLabels": dict(sorted({**container.labels, **_followed(container.secrets)}.items())),
        "stopTimeout": container.stop_timeout_s,
        "logConfiguration": _logging(container),
    }
    if container.registry_secret is not None:
        found["repositoryCredentials"] = {"credentialsParameter": container.registry_secret}
    if container.port is not None:
        found["portMappings"] = [{"containerPort": container.port, "hostPort": container.port, "protocol": "tcp"}]
    if container.probe is not None:
        found["healthCheck"] = {
            "command": ["CMD", *container.health],
            "interval": container.probe.interval_s,
            "timeout": container.probe.timeout_s,
            "retries": _HEALTH_RETRIES,
            "startPeriod": min(container.probe.start_allowance_s, _LONGEST_START_S),
        }
    return found


def text(definitions: Sequence[Definition]) -> str:
    """Return definitions as the JSON that is registered; equal definitions are equal texts."""
    return json.dumps(list(definitions), sort_keys=True, separators=(",", ":"))


def value_from(source: SecretSource) -> str:
    """Return the reference as ECS resolves it: ARN, JSON key, stage, version; the ARN alone is the whole secret."""
    if not (source.key or source.stage or source.version):
        return source.arn
    return f"{source.arn}:{source.key}:{source.stage}:{'' if source.stage else source.version}"


def health_command(*, port: int, liveness: Probe, readiness: Probe) -> tuple[str, ...]:
    """Return a container's health command: ready once, then alive.

    A new task counts as healthy only when it was ready, which is what holds a deployment back. From then on it is
    asked for life alone: a database away for two minutes must replace no task. Python, because the image has no curl.
    """
    root = f"http://127.0.0.1:{port}"
    if liveness.path == readiness.path:
        ask = f"u.urlopen('{root}{liveness.path}',timeout={liveness.timeout_s - 1})"
        return ("python", "-c", f"import urllib.request as u;{ask}")
    marker = f"{TEMPORARY}/ready"
    path = f"'{liveness.path}' if os.path.exists('{marker}') else '{readiness.path}'"
    ask = f"u.urlopen('{root}'+({path}),timeout={liveness.timeout_s - 1})"
    return ("python", "-c", f"import os,urllib.request as u;{ask};open('{marker}','a').close()")


def secret_sources(
    templates: Mapping[str, SecretTemplate],
    *,
    single: Mapping[str, SecretSource],
    composed: Mapping[str, SecretSource],
) -> dict[str, SecretSource]:
    """Return where ECS finds the value of each secret environment entry.

    `single` is by the secret's own name, `composed` by the whole text of a template, because ECS hands over values as
    they are stored and composes none. Raises Refused for a template that neither has.
    """
    found = {}
    for name, template in templates.items():
        references = template.references()
        alone = len(references) == 1 and template.text == f"{{{references[0]}}}"
        source = single.get(references[0]) if alone else composed.get(template.text)
        if source is None:
            raise Refused(
                f"The server's environment entry {name} needs {', '.join(references)}, which no secret of this backend "
                "holds in the form that ECS could hand over.",
                code="environment-not-renderable",
                fix="This is a gap of the ecs target, not of your settings; please report it.",
            )
        found[name] = source
    return found


def _pairs(value_key: str, entries: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, value_key: value} for name, value in sorted(entries.items())]


def _followed(secrets: Mapping[str, SecretSource]) -> dict[str, str]:
    """Return the label with the versions that references by stage do not name."""
    versions = sorted({source.version for source in secrets.values() if source.stage})
    return {SECRETS_LABEL: " ".join(versions)} if versions else {}


def _logging(container: Container) -> dict[str, Any]:
    options = {
        "awslogs-group": container.log_group,
        "awslogs-region": container.region,
        "awslogs-stream-prefix": container.name,
        # A server whose log service is slow keeps serving; what does not fit the buffer is dropped.
        "max-buffer-size": _LOG_BUFFER,
        "mode": "non-blocking",
    }
    return {"logDriver": "awslogs", "options": options, "secretOptions": []}
