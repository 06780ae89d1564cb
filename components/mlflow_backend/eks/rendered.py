"""A backend's containers and IAM documents as they are before AWS has drawn any of its names. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.aws.render import alarms, cache, cluster, database, network, secrets, storage
from mlflow_backend.aws.render.documents import billing, documents
from mlflow_backend.eks.refusals import naming_of
from mlflow_backend.eks.roles import roles
from mlflow_backend.eks.within import elasticache, rds, within, without_balancer
from mlflow_backend.kubernetes.rendered import containers
from mlflow_backend.report.policies import RenderedParts

if TYPE_CHECKING:
    from mlflow_backend.settings import Settings

BILLING: Final = billing(alarms, cache, cluster, database, network, secrets, storage)


def render(settings: Settings, *, project: str, stack: str) -> RenderedParts:
    """Return the parts of a stack. Raises Refused and ValueError for settings that cannot be rendered."""
    naming, objects = naming_of(settings, project=project, stack=stack)
    given = {"store": storage.store(settings, naming)}
    watched = rds(settings) or elasticache(settings)
    found = documents(without_balancer(settings), naming, roles(settings, naming), given, watched=watched)
    return RenderedParts(
        containers=containers(within(settings, naming, objects), objects),
        documents=found,
        image_known=True,
    )
