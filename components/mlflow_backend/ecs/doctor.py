"""All that `doctor` looks at for a stack on ECS: checks of the account, each with the command that fixes it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from mlflow_backend.aws.asking import Account, Unanswered
from mlflow_backend.aws.connection import Connection
from mlflow_backend.aws.doctor import linked_roles, names, permissions, quotas, repository
from mlflow_backend.aws.doctor.names import Kind
from mlflow_backend.aws.doctor.quotas import Quota
from mlflow_backend.aws.permissions import Purpose
from mlflow_backend.dynamic import inputs_of
from mlflow_backend.ecs.permissions import LINKED_ROLES, grants
from mlflow_backend.ecs.preflight import preflight_args
from mlflow_backend.ecs.render.policies import ROLES
from mlflow_backend.ecs.render.service import MAXIMUM_PERCENT, scaling
from mlflow_backend.ecs.render.size import server_size
from mlflow_backend.ecs.render.tasks import TASK_CPU
from mlflow_backend.findings import Outcome, skipped
from mlflow_backend.preflight import resource

if TYPE_CHECKING:
    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.ecs.args import EcsBackendArgs
    from mlflow_backend.findings import Finding
    from mlflow_backend.settings import Settings

_CPU_UNITS: Final = 1024
FARGATE: Final = Quota(service="fargate", code="L-3032A538", what="vCPUs of Fargate tasks", prop="scaling.maxReplicas")
CLUSTER: Final = Kind(
    "cluster", "ecs", "describe_clusters", {"clusters": ["{name}"], "include": ["TAGS"]},
    "clusters[?status=='ACTIVE'] | [0]", "aws ecs delete-cluster --cluster {name}",
)  # fmt: skip


def check(args: EcsBackendArgs, naming: Naming) -> tuple[Finding, ...]:
    """Look at everything that an update needs to find. In another account than the stack's, nothing else is asked."""
    args = args.complete()
    settings, connection = args.settings, args.connection or Connection(naming.region)
    found = resource.inspect(inputs_of(preflight_args(settings, naming, args))).findings
    strangers = [each for each in found if each.check == "account" and each.outcome is Outcome.FAIL]
    if strangers:
        return (*strangers, skipped("the rest", "aws.account", "nothing else was asked of this account."))
    account = Account(connection)
    cluster = deployed(account, naming)
    given = [(CLUSTER, naming.cluster()), *names.given(settings, naming, roles=ROLES)]
    return (
        *permissions.check(account, grants(settings, naming, Purpose.DEPLOY)),
        *linked_roles.check(account, settings, LINKED_ROLES),
        *repository.check(str(settings.server.image), connection, own=naming.account),
        *found,
        *quotas.check(account, needed(settings), deployed=cluster is True),
        *names.check(account, given, naming, deployed=cluster),
    )


def deployed(account: Account, naming: Naming) -> bool | Unanswered:
    """Return whether the cluster is there and carries the stack's tags: then what has the names is the stack's own."""
    cluster = names.holder(account, CLUSTER, naming.cluster())
    if isinstance(cluster, Unanswered):
        return cluster
    tags = {each["key"]: each["value"] for each in (cluster or {}).get("tags", [])}
    return (tags.get("project"), tags.get("stack")) == (naming.project, naming.stack)


def needed(settings: Settings) -> dict[Quota, int]:
    """Return how much of each quota the backend takes at most.

    During an update old and new tasks run beside each other, and a one-shot task beside them.
    """
    cpu, _ = server_size(settings)
    tasks = scaling(settings).most * MAXIMUM_PERCENT // 100
    return {FARGATE: math.ceil((tasks * cpu + TASK_CPU) / _CPU_UNITS), **quotas.network(settings)}
