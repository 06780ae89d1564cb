"""The service-linked roles that the services of a backend work by.

RDS and ElastiCache make theirs while they create their first resource, and fail that first time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.aws.asking import Unanswered
from mlflow_backend.findings import failed, passed, skipped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlflow_backend.aws.asking import Account
    from mlflow_backend.findings import Finding
    from mlflow_backend.settings import Settings

_PATH: Final = "/aws-service-role/"
_CHECK: Final = "service-linked role"


def check(account: Account, settings: Settings, platform: Sequence[str]) -> Iterator[Finding]:
    """Look for the role of each service that the settings use; `platform` are those that the target's own parts use."""
    roles = account.every("iam", "list_roles", "Roles", PathPrefix=_PATH)
    if isinstance(roles, Unanswered):
        yield skipped(_CHECK, "aws.account", f"roles could not be listed: {roles.why}.")
        return
    there = {str(role["Path"]).removeprefix(_PATH).strip("/") for role in roles}
    for service in services(settings, platform):
        name = f"{service}.amazonaws.com"
        if name in there:
            yield passed(_CHECK, "aws.account", f"{name} has its role.")
            continue
        yield failed(
            _CHECK,
            "aws.account",
            f"{name} has no role in this account, and its first resource would fail.",
            "Make it, once for all stacks.",
            f"aws iam create-service-linked-role --aws-service-name {name}",
        )


def services(settings: Settings, platform: Sequence[str]) -> tuple[str, ...]:
    """Return the services whose roles are needed; an adopted database or cache has had its own."""
    created = (("rds", settings.database.mode), ("elasticache", settings.cache.mode))
    return (*(service for service, mode in created if mode == "create"), "elasticloadbalancing", *platform)
