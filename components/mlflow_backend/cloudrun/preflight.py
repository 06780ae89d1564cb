"""Preflight of a backend on Cloud Run: its project, and an image that Cloud Run runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mlflow_backend.contract import Refused, UsageError
from mlflow_backend.findings import failed, failures, table
from mlflow_backend.gcp import existing
from mlflow_backend.gcp import preflight as project
from mlflow_backend.image_reference import parse
from mlflow_backend.preflight import image
from mlflow_backend.preflight.manifests import Platform
from mlflow_backend.preflight.registry import Login, Registry

if TYPE_CHECKING:
    from mlflow_backend.findings import Finding
    from mlflow_backend.gcp.api import Api
    from mlflow_backend.gcp.naming import Naming
    from mlflow_backend.settings import Settings

# 'Container runtime contract' (Cloud Run): executables for 64-bit Linux on x86_64.
_PLATFORM: Final = Platform(system="linux", architecture="amd64")
# What the server loads to reach its database, its artifacts and its queue.
_DRIVERS: Final = frozenset({"google-cloud-storage", "psycopg2", "redis"})
_OF_GOOGLE: Final = re.compile(r"[a-z0-9-]+-docker\.pkg\.dev|(?:[a-z]+\.)?gcr\.io", re.ASCII)
# 'Configure authentication to Artifact Registry for Docker': the user of an access token.
_TOKEN_USER: Final = "oauth2accesstoken"  # noqa: S105 - a user's name


def refuse(settings: Settings, naming: Naming, api: Api) -> tuple[Finding, ...]:
    """Look at everything. Raises Refused with all that is missing; what could not be looked at is no reason."""
    found = check(settings, naming, api)
    if failures(found):
        raise Refused(
            "What this backend needs is not there:\n" + "\n".join(table(failures(found))),
            code="cloudrun-preflight-failed",
            fix="Do what is said, and repeat.",
        )
    return found


def check(settings: Settings, naming: Naming, api: Api) -> tuple[Finding, ...]:
    """Return what each check of the project, of the stores that are adopted, and of the image found."""
    return (*project.check(settings, naming, api), *existing.check(settings, naming, api), *_image(settings, api))


def login(registry: str, api: Api) -> Login | None:
    """Return the login to a registry of Google's: the deployer's token is sent to nobody else."""
    if _OF_GOOGLE.fullmatch(registry) is None:
        return None
    return Login(user=_TOKEN_USER, password=api.credentials.token())


def _image(settings: Settings, api: Api) -> tuple[Finding, ...]:
    try:
        reference = parse(str(settings.server.image))
    except UsageError as error:
        return (failed("image exists", image.PROPERTY, f"{error.finding}.", "Correct the setting."),)
    source = Registry(reference.registry, reference.repository, login(reference.registry, api))
    wanted = image.ImageRequirements(
        platform=_PLATFORM, mlflow_version=settings.server.mlflow_version, drivers=_DRIVERS
    )
    return image.check(source, reference, wanted).findings
