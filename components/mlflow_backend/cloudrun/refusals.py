"""Settings that the target `cloudrun` cannot fulfil, refused before anything is touched. Pure.

Settings that are wrong on every target are refused by mlflow_backend/settings; here is what only Cloud Run makes
impossible. Each refusal is a function that returns clauses, and all are reported at once.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mlflow_backend.cloudrun.render import access
from mlflow_backend.cloudrun.render.access import SECOND_HEADERS
from mlflow_backend.cloudrun.render.service import scaling
from mlflow_backend.cloudrun.render.size import server_size
from mlflow_backend.gcp.naming import Naming
from mlflow_backend.gcp.render.scheduler import schedules
from mlflow_backend.schedules import MAINTENANCE
from mlflow_backend.settings.unfulfillable import of_backups, of_image, refuse_unfulfillable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlflow_backend.settings import Settings


def refuse_unsupported(settings: Settings) -> None:
    """Raise Refused, with every finding, for settings that this target cannot fulfil: none is ignored."""
    findings = [finding for rule in RULES for finding in rule(settings)]
    refuse_unfulfillable("cloudrun", findings)


def naming_of(settings: Settings, *, project: str, stack: str, name: str = "mlflow") -> Naming:
    """Return the names of a stack's backend. Raises Refused for settings that this target cannot fulfil."""
    refuse_unsupported(settings)
    gcp = settings.gcp
    return Naming(
        stack_project=project,
        stack=stack,
        name=name,
        project=str(gcp.project),
        number=str(gcp.project_number),
        region=str(gcp.region),
    )


def project(settings: Settings) -> Iterator[str]:
    """Project and region are said, never taken from whoever is logged in."""
    if settings.gcp.project is None:
        yield "gcp.project is missing, and the backend must not land in whatever project is logged in; set its ID"
    if settings.gcp.project_number is None:
        yield "gcp.projectNumber is missing, and the service's URL holds it; set it, in quotes"
    if settings.gcp.region is None:
        yield "gcp.region is missing; set one, such as europe-west1"


def size(settings: Settings) -> Iterator[str]:
    """Cloud Run has instances of that size, and what is spooled fits into their memory."""
    try:
        server_size(settings)
    except ValueError as error:
        yield f"{error}"


def instances(settings: Settings) -> Iterator[str]:
    """Fewer instances stay warm than there may be, and jobs have one to run in and no second one.

    Each instance would enqueue what MLflow does periodically ('only one instance should', MLflow 3.17.2,
    server/jobs/_job_runner.py).
    """
    found = scaling(settings)
    least, most = found["minInstanceCount"], found["maxInstanceCount"]
    if least > most:
        yield f"gcp.service.minInstances is {least}, and {most} is the most (scaling.maxReplicas); lower it"
    if settings.server.jobs and not least:
        yield "gcp.service.minInstances is 0, and server.jobs run in an instance that is there; set it to 1"
    if settings.server.jobs and most > 1:
        yield f"scaling.maxReplicas lets {most} instances run, and each would begin periodic server.jobs; set it to 1"


def checks(settings: Settings) -> Iterator[str]:
    """Each check has its header: Google's and the server's both want Authorization."""
    wanted, mode = settings.gcp.access, settings.access.mode
    own = mode in {"basic", "token"}
    if mode == "cloudIdentity" and wanted.identity is None:
        yield "gcp.access.identity is missing, and access.mode is cloudIdentity; set it to iam or iap"
    if own and wanted.identity is not None and not wanted.second_header:
        yield (
            f"access.mode {mode} and gcp.access.identity {wanted.identity} both read the Authorization header; remove "
            f"one, or set gcp.access.secondHeader, if every client sends Google's token in "
            f"{SECOND_HEADERS[wanted.identity]}"
        )
    if wanted.second_header and not (own and wanted.identity is not None):
        yield "gcp.access.secondHeader is set, and only one check reads a header; remove it"


def verification(settings: Settings) -> Iterator[str]:
    """A verification inside the network has the identity of the account that it runs as, and signs nothing for IAP."""
    if settings.gcp.access.identity != "iap":
        return
    if settings.gcp.network.ingress != "all":
        yield (
            f"gcp.network.ingress is {settings.gcp.network.ingress} and gcp.access.identity is iap, and the "
            "verification inside the network signs no token; set ingress to all, or identity to iam"
        )


def maintenance(settings: Settings) -> Iterator[str]:
    """Artifacts are removed through the servers, by MLflow's own client."""
    if MAINTENANCE in schedules(settings) and not access.maintainable(settings):
        yield (
            "maintain.schedule is set, and MLflow's client within the network sends neither a token for IAP nor two "
            "headers; leave it out, or let one of the two check: gcp.access.identity iam, or access.mode"
        )


def principals(settings: Settings) -> Iterator[str]:
    """Somebody passes Google's check, and nobody is named for one that is not made."""
    wanted = settings.gcp.access
    if wanted.identity is not None and not wanted.principals:
        yield "gcp.access.principals is empty, and nobody would pass gcp.access.identity; name who may call"
    if wanted.identity is None and wanted.principals:
        yield "gcp.access.principals is set, and gcp.access.identity is not; remove them, or set it to iam or iap"


def public_url(settings: Settings) -> Iterator[str]:
    """Google's proxy speaks HTTPS only, on its own port."""
    url = settings.network.public_url
    if url is not None and (not url.startswith("https://") or ":" in url.removeprefix("https://")):
        yield "network.publicUrl is not https://HOST, and Google's proxy has nothing else; leave it out for its own"


def network(settings: Settings) -> Iterator[str]:
    """An adopted network comes with its subnet, and a created one without."""
    wanted = settings.gcp.network
    if settings.network.mode == "create" and wanted.subnet is not None:
        yield "gcp.network.subnet is of an adopted network, and network.mode is create; remove it"
    if settings.network.mode == "adopt":
        if wanted.subnet is None:
            yield "gcp.network.subnet is missing for the adopted network; name the subnet of the instances"
        if "cidr" in wanted.model_fields_set:
            yield "gcp.network.cidr shapes a created network, and network.mode is adopt; remove it"


def database(settings: Settings) -> Iterator[str]:
    """An adopted database comes with a secret, and storage grows upwards."""
    wanted = settings.gcp.database
    if settings.database.mode == "create":
        if wanted.secret is not None or wanted.ca is not None:
            yield "gcp.database.secret and ca are of an adopted database, and database.mode is create; remove them"
        if wanted.max_storage is not None and wanted.max_storage <= wanted.storage:
            yield "gcp.database.maxStorage is not more than gcp.database.storage; raise it, or leave it out"
        return
    if wanted.secret is None:
        yield "gcp.database.secret is missing for the adopted database; name the version with its role's password"
    if sized := {"tier", "storage", "max_storage", "regional"} & wanted.model_fields_set:
        yield f"gcp.database.{min(sized)} sizes a created database, and database.mode is adopt; remove it"


def cache(settings: Settings) -> Iterator[str]:
    """An adopted cache comes with a secret."""
    wanted = settings.gcp.cache
    if settings.cache.mode == "create":
        if wanted.secret is not None or wanted.ca is not None:
            yield "gcp.cache.secret and ca are of an adopted cache, and cache.mode is create; remove them"
        return
    if wanted.secret is None:
        yield "gcp.cache.secret is missing for the adopted cache; name the version with its URL"
    if sized := {"memory", "regional"} & wanted.model_fields_set:
        yield f"gcp.cache.{min(sized)} sizes a created cache, and cache.mode is adopt; remove it"


def store(settings: Settings) -> Iterator[str]:
    """Artifacts lie in Cloud Storage."""
    existing = settings.artifacts.existing
    if existing is not None and not existing.startswith("gs://"):
        yield "artifacts.existing is not in Cloud Storage; name gs://BUCKET/PREFIX"
    if existing is not None and settings.gcp.artifacts.model_fields_set:
        shaping = min(settings.gcp.artifacts.model_fields_set)
        yield f"gcp.artifacts.{shaping} shapes a created bucket, and artifacts.mode is adopt; remove it"


RULES: tuple[Callable[[Settings], Iterator[str]], ...] = (
    project,
    partial(of_image, takers="instances"),
    size,
    instances,
    checks,
    verification,
    maintenance,
    principals,
    public_url,
    network,
    database,
    cache,
    store,
    partial(of_backups, scheme="gs", takers="jobs"),
)
