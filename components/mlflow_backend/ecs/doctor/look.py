"""All that `doctor` looks at for a stack on AWS, in the order in which it is mended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.ecs.doctor import linked_roles, names, permissions, quotas, repository
from mlflow_backend.ecs.doctor.account import Account
from mlflow_backend.ecs.looked_at import preflight_args
from mlflow_backend.ecs.permissions import Purpose, grants
from mlflow_backend.preflight import resource
from mlflow_backend.preflight.findings import Outcome, skipped

if TYPE_CHECKING:
    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.preflight.findings import Finding
    from mlflow_backend.settings import Settings


def look(settings: Settings, naming: Naming) -> tuple[Finding, ...]:
    """Look at everything that an update needs to find. In another account than the stack's, nothing else is asked."""
    found = resource.look(preflight_args(settings, naming).inputs()).findings
    strangers = [each for each in found if each.check == "account" and each.outcome is Outcome.FAIL]
    if strangers:
        return (*strangers, skipped("the rest", "aws.account", "nothing else was asked of this account."))
    account = Account(naming.region)
    deployed = names.deployed(account, naming)
    return (
        *permissions.look(account, grants(settings, naming, Purpose.DEPLOY)),
        *linked_roles.look(account, settings),
        *repository.look(str(settings.server.image), own=naming.account),
        *found,
        *quotas.look(account, settings, deployed=deployed is True),
        *names.look(account, settings, naming, deployed=deployed),
    )
