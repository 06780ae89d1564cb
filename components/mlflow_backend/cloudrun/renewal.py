"""The revision that is another one's release with newer versions of its secrets, which a restore has put in force.

It has the name and the template that the next update declares, which so finds it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.cloudrun import traffic
from mlflow_backend.cloudrun.history import container_of
from mlflow_backend.cloudrun.render.containers import versions_in, with_versions
from mlflow_backend.cloudrun.render.service import digest_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mlflow_backend.cloudrun.service import CloudRun
    from mlflow_backend.gcp.naming import Naming

# What `render.service.template` declares; a revision shows more of itself.
_DECLARED: Final = (
    "labels", "scaling", "serviceAccount", "executionEnvironment", "timeout", "maxInstanceRequestConcurrency",
    "vpcAccess", "volumes", "containers",
)  # fmt: skip


def renewed(run: CloudRun, revision: str, versions: Mapping[str, str]) -> str:
    """Return the revision with these versions of secrets, by the secrets' names; it is made if it is not there.

    The traffic stays as it is. Raises Refused if `revision` is gone, PlatformFailed if Google does not start the other.
    """
    found, there = run.revision(revision), {traffic.short(each["name"]): each for each in run.revisions()}
    failed = [name for name, each in there.items() if traffic.has_failed(each)]
    template = template_of(found, versions, naming=run.naming, failed=failed)
    name = str(template["revision"])
    if name not in there:
        tag = run.naming.tag_of(name)
        run.change(lambda service: {"template": template, "traffic": traffic.beside(service, tag)})
    return name


def template_of(
    found: Mapping[str, Any], versions: Mapping[str, str], *, naming: Naming, failed: Collection[str]
) -> dict[str, Any]:
    """Return the template of a revision with these versions of secrets; `failed` are revisions that never started."""
    before = traffic.short(str(found["name"]))
    containers = [with_versions(each, versions) for each in found["containers"]]
    template = {**{part: found[part] for part in _DECLARED if part in found}, "containers": containers}
    if containers == found["containers"]:
        return {**template, "revision": before}
    most = int(found["scaling"]["maxInstanceCount"])
    drawn = digest_of(container_of(found).identity, most, versions_in(template), naming=naming, failed=failed)
    # Its servers answer at its own tag, and not at the other one's.
    text = json.dumps(template).replace(naming.tag_of(before), naming.tag(drawn))
    return {**json.loads(text), "revision": naming.revision(drawn)}
