"""A backend's containers and IAM documents as they are before AWS has drawn any of its names. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.aws.render import alarms, cache, cluster, database, network, policies, secrets, storage
from mlflow_backend.aws.render.documents import documents
from mlflow_backend.eks.refusals import naming_of
from mlflow_backend.eks.roles import roles
from mlflow_backend.eks.within import elasticache, rds, within, without_balancer
from mlflow_backend.kubernetes.rendered import containers
from mlflow_backend.report.policies import RenderedParts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.report.quantities import Billing
    from mlflow_backend.settings import Settings

BILLING: Final[Mapping[str, Billing]] = {
    type_: row
    for module in (alarms, cache, cluster, database, network, secrets, storage)
    for type_, row in module.BILLING.items()
}


def render(settings: Settings, *, project: str, stack: str) -> RenderedParts:
    """Return the parts of a stack. Raises Refused and ValueError for settings that cannot be rendered."""
    naming, objects = naming_of(settings, project=project, stack=stack)
    given = {"store": storage.store(settings, naming)}
    found = documents(without_balancer(settings), naming, roles(settings, naming), given)
    if settings.aws.monitoring.topic is None and (rds(settings) or elasticache(settings)):
        found["alarm topic policy"] = policies.topic(naming, topic_arn=naming.arn("sns", naming.topic()))
    return RenderedParts(
        containers=containers(within(settings, naming, objects), objects),
        documents=found,
        image_known=True,
    )
