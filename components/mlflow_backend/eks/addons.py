"""Versions of the add-ons of a created cluster: those that the settings pin, and EKS's own defaults for the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlflow_backend.aws.asking import Account, Unanswered
from mlflow_backend.aws.render.cluster import ADDONS, cluster_plan, default_version, pinned_versions
from mlflow_backend.contract import PlatformFailed

if TYPE_CHECKING:
    from mlflow_backend.aws.connection import Connection
    from mlflow_backend.settings import Settings


def versions(settings: Settings, connection: Connection) -> dict[str, str]:
    """Return the version of each add-on, by its name. EKS is asked for those that are not pinned.

    Raises Refused if EKS has no default for one, PlatformFailed if it does not answer.
    """
    pinned, kubernetes = pinned_versions(settings), cluster_plan(settings).version
    account = Account(connection)
    return {
        each.name: pinned.get(each.name)
        or default_version(each.name, kubernetes, _offered(account, each.name, kubernetes))
        for each in ADDONS
    }


def _offered(account: Account, addon: str, kubernetes: str) -> list[dict[str, Any]]:
    found = account.every("eks", "describe_addon_versions", "addons", addonName=addon, kubernetesVersion=kubernetes)
    if isinstance(found, Unanswered):
        raise PlatformFailed(
            f"{found.of('Amazon EKS')} for the versions of the add-on {addon}",
            code="eks-addons-not-answered",
            fix="Log in to AWS, or give the deployer eks:DescribeAddonVersions, or name the versions by eks.addons",
        )
    return list(found)
