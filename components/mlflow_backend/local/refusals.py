"""Settings that the local target cannot fulfil. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic.alias_generators import to_camel

from mlflow_backend.settings.unfulfillable import refuse_unfulfillable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mlflow_backend.local.timed import Work
    from mlflow_backend.settings import Settings

# Settings that this target cannot fulfil, with why; each is refused unless it has its default.
_UNSUPPORTED = {
    "server.image": "no container is run here",
    "server.cpu": "processes here share the machine",
    "server.memory": "processes here share the machine",
    "server.replicas": "one server runs here; use server.workers",
    "scaling.max_replicas": "one server runs here; use server.workers",
    "database.mode": "this target creates its own",
    "cache.mode": "this target creates its own",
    "artifacts.mode": "this target creates its own",
    "network.mode": "this target listens on loopback only",
    "network.public_url": "this target is reached by server.port on loopback only",
    "release.soak_hours": "no other stack's releases are taken over here",
    "release.soak_source": "no other stack's releases are taken over here",
    "backup.retention_days": "no platform backs up the database here; backup.keepDays is for your backups",
    "aws": "this target is not on AWS",
    "tags": "nothing here can carry tags",
}


def refuse_unsupported(settings: Settings) -> None:
    """Raise Refused for every setting that this target cannot fulfil: none is ignored."""
    asked, default = settings.model_dump(), type(settings)(target="local").model_dump()
    findings = [
        f"{_spelled(path)} is set, and {why}"
        for path, why in _UNSUPPORTED.items()
        if _value(asked, path) != _value(default, path)
    ]
    if settings.access.mode == "cloudIdentity":
        findings.append("access.mode is set, and no cloud is here to know its identities")
    refuse_unfulfillable("local", findings)


def refuse_without_project(works: Sequence[Work], project: Path | None) -> None:
    """Raise Refused for work on a schedule that has no project: its commands find the stack by a file there."""
    if works and project is None:
        refuse_unfulfillable(
            "local", [f"the {work.name} is scheduled, and no project's folder is given" for work in works]
        )


def _value(document: dict[str, Any], path: str) -> object:
    """Return what stands at a dotted path."""
    found: Any = document
    for part in path.split("."):
        found = found[part]
    return found


def _spelled(path: str) -> str:
    """Return a path as the stack's file spells it."""
    return ".".join(to_camel(part) for part in path.split("."))
