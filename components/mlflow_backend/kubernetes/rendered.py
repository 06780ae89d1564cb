"""What a backend's containers say before any resource is there. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlflow_backend.kubernetes.naming import MAINTENANCE, SERVER
from mlflow_backend.kubernetes.render import backups, maintenance, oneshot, server

if TYPE_CHECKING:
    from mlflow_backend.kubernetes.naming import Naming
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
    if (pod_template := maintenance.documents(settings, naming).get(MAINTENANCE)) is not None:
        templates["maintenance"] = pod_template["template"]
    return {
        part: [{**each, "environment": each["env"]} for each in template["spec"]["containers"]]
        for part, template in templates.items()
    }
