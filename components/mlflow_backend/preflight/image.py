"""Checks of the server's image: it is there, runs on the tasks' platform, and is what the settings say it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.findings import Finding, failed, passed, skipped
from mlflow_backend.preflight.manifests import DENIED, MISSING, Image, Platform, inspect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow_backend.image_reference import Reference
    from mlflow_backend.preflight.manifests import Source

VERSION_LABEL: Final = "mlflow-backend.mlflow-version"
DRIVERS_LABEL: Final = "mlflow-backend.drivers"
HEAD_LABELS: Final = {
    "tracking": "mlflow-backend.schema-head.tracking",
    "auth": "mlflow-backend.schema-head.auth",
}
"""Labels that server/Dockerfile writes, so that an image can be checked without pulling a layer."""

CLIENT_LABEL: Final = "mlflow-backend.postgres-client"
CLIENT_MAJOR: Final = 17
"""The major version of Postgres's client programs in server/Dockerfile, and in every image without the label."""

PROPERTY: Final = "server.image"
_BUILD: Final = "Build and push it from server/Dockerfile, or name one that was."
_COMMAND: Final = "make image STACK=STACK"


@dataclass(frozen=True, kw_only=True)
class ImageRequirements:
    """What an image has to be: for a platform, of an MLflow version, with drivers."""

    platform: Platform
    mlflow_version: str
    drivers: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What was found of an image.

    `pinned` is its name by digest; None when it could not be resolved. `clients` is the major version of its pg_dump.
    """

    findings: tuple[Finding, ...]
    pinned: str | None = None
    heads: tuple[tuple[str, str], ...] = ()
    clients: int = CLIENT_MAJOR


def check(source: Source, reference: Reference, required: ImageRequirements) -> Inspection:
    """Look at an image through its registry and check it."""
    exists = "image exists"
    try:
        image = inspect(source, reference.asked, required.platform)
    except PlatformFailed as error:
        if error.code not in MISSING:
            return _unreadable(reference, error)
        finding = failed(exists, PROPERTY, f"there is no image {reference}.", _BUILD, _COMMAND)
        return Inspection(findings=(finding,))
    pinned = reference.pinned(image.digest)
    found = passed(exists, PROPERTY, f"{reference} is {image.digest}.")
    heads = tuple((chain, image.labels[label]) for chain, label in HEAD_LABELS.items() if label in image.labels)
    clients = image.labels.get(CLIENT_LABEL, "")
    return Inspection(
        findings=(found, *_findings(image, required)),
        pinned=pinned,
        heads=heads,
        clients=int(clients) if clients.isdecimal() else CLIENT_MAJOR,
    )


def _unreadable(reference: Reference, error: PlatformFailed) -> Inspection:
    """A pinned image need not be resolved, so that looking at it can be skipped; a tag has to be."""
    denied = error.code in DENIED
    if reference.digest is not None and denied:
        finding = skipped(
            "image", PROPERTY, f"{reference} could not be looked at: {error.finding}.", "Allow reading it."
        )
        return Inspection(findings=(finding,), pinned=reference.pinned(reference.digest))
    fix = "Allow reading it, or name the image by digest." if denied else "Fix that, and repeat."
    return Inspection(
        findings=(failed("image exists", PROPERTY, f"{reference} could not be read: {error.finding}.", fix),)
    )


def _findings(image: Image, required: ImageRequirements) -> Iterator[Finding]:
    if required.platform not in image.platforms:
        has = ", ".join(map(str, image.platforms)) or "none"
        yield failed(
            "image platform",
            PROPERTY,
            f"tasks run on {required.platform}, and the image is for {has}: its containers would die with "
            "'exec format error'.",
            f"Build it with --platform {required.platform}, or change the architecture in the settings.",
        )
        return
    yield passed("image platform", PROPERTY, f"it runs on {required.platform}.")
    yield _version(image, required)
    yield _drivers(image, required)
    yield _user(image)


def _version(image: Image, required: ImageRequirements) -> Finding:
    check, labelled = "image version", image.labels.get(VERSION_LABEL)
    if labelled is None:
        return failed(
            check, PROPERTY, f"it has no label {VERSION_LABEL}, so what it runs is not known.", _BUILD, _COMMAND
        )
    if labelled != required.mlflow_version:
        return failed(
            check,
            PROPERTY,
            f"it holds MLflow {labelled}, and server.mlflowVersion is {required.mlflow_version}.",
            "Name the image of that version, or change server.mlflowVersion.",
        )
    return passed(check, PROPERTY, f"it holds MLflow {labelled}.")


def _drivers(image: Image, required: ImageRequirements) -> Finding:
    check = "image drivers"
    present = frozenset(image.labels.get(DRIVERS_LABEL, "").replace(",", " ").split())
    if missing := required.drivers - present:
        return failed(
            check, PROPERTY, f"its label {DRIVERS_LABEL} lacks {', '.join(sorted(missing))}.", _BUILD, _COMMAND
        )
    return passed(check, PROPERTY, f"it holds {', '.join(sorted(required.drivers))}.")


def _user(image: Image) -> Finding:
    check, user = "image user", image.user.partition(":")[0]
    if user in {"", "0", "root"}:
        return failed(check, PROPERTY, "it runs as root.", "Give it a USER of its own.")
    return passed(check, PROPERTY, f"it runs as {user}.")
