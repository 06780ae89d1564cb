"""All documents of a variant, and how to look at them."""

from __future__ import annotations

import base64
import io
import zipfile
from typing import TYPE_CHECKING, Any

from mlflow_backend.kubernetes.naming import CACHE, CANDIDATE, DATABASE, SERVER
from mlflow_backend.kubernetes.render import (
    backups,
    maintenance,
    network,
    oneshot,
    server,
    stores,
    unavailable,
    verification,
)
from tests.components.kubernetes.stacks import naming

if TYPE_CHECKING:
    from mlflow_backend.settings import Settings

Document = dict[str, Any]


def all_of(settings: Settings) -> dict[str, Document]:
    """Return every document of a backend by what it is for; a Job stands for all that are run."""
    name = naming(settings)
    template = server.template(settings, name, component=SERVER, secrets_version="v1")
    apart = server.template(settings, name, component=CANDIDATE, secrets_version="v1")
    found = {
        SERVER: server.deployment(settings, name, template),
        CANDIDATE: server.candidate(settings, name, apart),
        "service": server.service(settings, name, name.prefix, SERVER),
        "candidate-service": server.service(settings, name, name.part(CANDIDATE), CANDIDATE),
        "autoscaler": server.autoscaler(settings, name),
        "disruption-budget": server.disruption_budget(name),
        **{f"account-{part}": account for part, account in server.accounts(settings, name).items()},
        "client": server.client(settings, name, "argo"),
        "database-tool": oneshot.database(settings, name),
        "verify": oneshot.verify(settings, name),
        **{f"policy-{part}": policy for part, policy in network.policies(settings, name).items()},
    }
    found["job"] = oneshot.job(found["database-tool"], token="1", command=["python"], deadline_s=60.0)
    found["unavailable"] = unavailable.job(name, template)
    found |= backups.documents(settings, name) | maintenance.documents(settings, name)
    found |= verification.documents(settings, name)
    if settings.network.public_url:
        found["ingress"] = network.ingress(settings, name)
    if settings.database.mode == "create":
        found[DATABASE] = stores.database(settings, name, version="1")
        found["database-service"] = stores.service(name, DATABASE)
    if settings.cache.mode == "create":
        found[CACHE] = stores.cache(settings, name, version="1")
    return found


def pod_of(document: Document) -> Document:
    """Return the pod template of a document; {} if it makes no pods."""
    return dict(document.get("template") or document.get("spec", {}).get("template") or {})


def container_of(document: Document) -> Document:
    """Return the one container of a document's pods."""
    (container,) = pod_of(document)["spec"]["containers"]
    return dict(container)


def tool_of(documents: dict[str, Document], part: str) -> tuple[list[str], str]:
    """Return what is in the zip of a task's ConfigMap, by name, and where the task's pods find the zip."""
    name = f"{part}-tool"
    content = base64.b64decode(documents[name]["binaryData"]["tool.zip"])
    mounted = {each["name"]: each["mountPath"] for each in container_of(documents[part])["volumeMounts"]}
    return zipfile.ZipFile(io.BytesIO(content)).namelist(), f"{mounted[name]}/tool.zip"


def environment_of(document: Document) -> dict[str, Any]:
    """Return what a document's container is given: text, or the Secret and key of a value."""
    return {
        each["name"]: each.get("value", tuple(each.get("valueFrom", {}).get("secretKeyRef", {}).values()))
        for each in container_of(document)["env"]
    }
