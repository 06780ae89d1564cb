"""A backend's containers as they are before any resource is there. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlflow_backend.kubernetes.naming import CACHE, DATABASE, SERVER, VERIFICATION, Naming
from mlflow_backend.kubernetes.render import backups, maintenance, oneshot, server, stores, verification
from mlflow_backend.schedules import MAINTENANCE

if TYPE_CHECKING:
    from mlflow_backend.settings import Settings


def containers(settings: Settings, naming: Naming) -> dict[str, list[dict[str, Any]]]:
    """Return the containers of the server and of the one-shot tasks, by what they are for."""
    templates = {
        "server": server.template(settings, naming, component=SERVER, secrets_version=""),
        "database tool": oneshot.database(settings, naming)["template"],
        "verification": oneshot.verify(settings, naming)["template"],
    }
    if settings.backup.destination is not None:
        templates["backup"] = backups.template(settings, naming)["template"]
    made = maintenance.documents(settings, naming) | verification.documents(settings, naming)
    templates |= {part: made[part]["template"] for part in (MAINTENANCE, VERIFICATION) if part in made}
    return {
        part: [{**each, "environment": each["env"]} for each in template["spec"]["containers"]]
        for part, template in templates.items()
    }


def at_once(settings: Settings) -> list[tuple[int, dict[str, Any]]]:
    """Return each container with how many of it run at once in an update, which is 0 for those at other times."""
    naming = Naming(project="any", stack="any", namespace=settings.kubernetes.namespace)
    counts, found = {"server": settings.server.replicas + 1, "verification": 1}, containers(settings, naming)
    for part, made, document in (
        (DATABASE, settings.database, stores.database),
        (CACHE, settings.cache, stores.cache),
    ):
        if made.mode == "create":
            counts[part] = 1
            found[part] = document(settings, naming, version="")["spec"]["template"]["spec"]["containers"]
    return [(counts.get(part, 0), each) for part, several in found.items() for each in several]
