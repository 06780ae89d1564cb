"""A backend's containers as they are before Google has drawn any of its addresses. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.cloudrun import scheduled
from mlflow_backend.cloudrun.locator import locator_of
from mlflow_backend.cloudrun.refusals import naming_of
from mlflow_backend.cloudrun.render import access, jobs, service
from mlflow_backend.cloudrun.render.service import Surroundings
from mlflow_backend.gcp.render import alerts, cache, database, scheduler, secrets, storage
from mlflow_backend.gcp.render.secrets import secret_versions
from mlflow_backend.report.policies import RenderedParts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.gcp.naming import Naming
    from mlflow_backend.report.quantities import Billing
    from mlflow_backend.settings import Settings

BILLING: Final[Mapping[str, Billing]] = {
    type_: row
    for module in (alerts, cache, database, scheduler, secrets, storage, service)
    for type_, row in module.BILLING.items()
}


def undrawn(settings: Settings, naming: Naming, *, image: str | None = None) -> Surroundings:
    """Return what Google draws by stand-ins, for what does not depend on it; `image` is the settings' if not given."""
    return Surroundings(
        image=image or str(settings.server.image),
        database="database.invalid",
        cache="cache.invalid",
        cache_port=cache.CACHE_PORT,
        network="network",
        subnet="subnet",
        secrets=secret_versions(settings, naming, {}),
    )


def render(settings: Settings, *, project: str, stack: str, image: str | None) -> RenderedParts:
    """Return the containers of a stack. Raises Refused and ValueError for settings that cannot be rendered."""
    naming = naming_of(settings, project=project, stack=stack)
    found, locator = undrawn(settings, naming, image=image), locator_of(settings, naming)
    templates: dict[str, Any] = {
        "server": service.template(settings, naming, found, release=""),
        "database tool": jobs.database_job(settings, naming, found)["template"]["template"],
        "verification": jobs.verify_job(settings, naming, found, scheduled.verify_command(settings, locator))[
            "template"
        ]["template"],
    }
    if access.maintainable(settings):
        command, url = scheduled.maintain_command(settings, locator), scheduled.users_url(settings, locator)
        job = jobs.maintenance_job(settings, naming, found, command, url=url)
        templates["maintenance"] = job["template"]["template"]
    if settings.backup.destination is not None:
        templates["backup"] = jobs.backup_job(settings, naming, found)["template"]["template"]
    return RenderedParts(
        containers={
            part: [{**each, "environment": each["env"]} for each in template["containers"]]
            for part, template in templates.items()
        },
        image_known=True,
    )
