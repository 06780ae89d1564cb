"""Preflight of a backend on EKS: the cluster by AWS, then what is in it by Kubernetes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from mlflow_backend.aws.asking import Account, Unanswered
from mlflow_backend.aws.render.cluster import NETWORK
from mlflow_backend.contract import BackendError
from mlflow_backend.eks.connection import EksConnection
from mlflow_backend.eks.within import created
from mlflow_backend.findings import failed, failed_by, passed, skipped
from mlflow_backend.kubernetes import preflight
from mlflow_backend.kubernetes.api import Api

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow_backend.eks.locator import EksLocator
    from mlflow_backend.findings import Finding
    from mlflow_backend.settings import Settings

_AGENT: Final = "eks-pod-identity-agent"


def check(settings: Settings, derived: Settings, locator: EksLocator) -> tuple[Finding, ...]:
    """Return what was found; `derived` are the settings within the cluster.

    A cluster that is not made yet is no failure: what would be looked at in it is shown as skipped.
    """
    connection = EksConnection(aws=locator.aws, cluster=locator.cluster, context=locator.context)
    try:
        found = connection.describe()
    except BackendError as error:
        return (failed_by("cluster", "eks.cluster", error),)
    made = created(settings)
    if found is None and made:
        return (
            skipped("cluster", "eks.cluster", f"{locator.cluster} is not made yet, so nothing in it is looked at."),
        )
    if found is None:
        return (
            failed(
                "cluster",
                "eks.cluster.existing",
                f"{locator.cluster} does not exist in {locator.region}.",
                "Name one of the region's, or leave it out to have one made.",
                f"aws eks list-clusters --region {locator.region}",
            ),
        )
    if found.get("status") != "ACTIVE":
        message = f"{locator.cluster} is {found.get('status', 'in no known state')}, so nothing in it is looked at."
        return (skipped("cluster", "eks.cluster", message, "Repeat when it is ACTIVE."),)
    # An update that ended before the nodes were there is repeated.
    ours = ("namespace", "secrets", "storage_class", "architecture") if made else ("secrets",)
    return (
        passed("cluster", "eks.cluster", f"{locator.cluster} is ACTIVE."),
        *(() if made else _addons(locator)),
        *preflight.check(derived, Api(connection=connection, namespace=locator.namespace), locator.naming, made=ours),
    )


def _addons(locator: EksLocator) -> Iterator[Finding]:
    """An adopted cluster gives pods their roles, and enforces network policies."""
    account = Account(locator.aws)
    agent = account.ask("eks", "describe_addon", clusterName=locator.cluster, addonName=_AGENT)
    if not isinstance(agent, Unanswered):
        yield passed("pod identities", "eks.cluster.existing", f"{locator.cluster} has {_AGENT}.")
    elif agent.denied:
        yield skipped("pod identities", "eks.cluster.existing", f"{agent.of('Amazon EKS')}.")
    else:
        yield failed(
            "pod identities",
            "eks.cluster.existing",
            f"{locator.cluster} has no add-on {_AGENT}, without which no pod gets a role.",
            "Add it:",
            f"aws eks create-addon --region {locator.region} --cluster-name {locator.cluster} --addon-name {_AGENT}",
        )
    network = account.ask("eks", "describe_addon", clusterName=locator.cluster, addonName=NETWORK.name)
    if isinstance(network, Unanswered):
        yield skipped(
            "network policies",
            "eks.cluster.existing",
            f"{network.of('Amazon EKS')} for the add-on {NETWORK.name}, so whether policies are enforced is not known.",
        )
    elif _enforces(network["addon"].get("configurationValues", "")):
        yield passed("network policies", "eks.cluster.existing", f"{NETWORK.name} enforces them.")
    else:
        yield failed(
            "network policies",
            "eks.cluster.existing",
            f"{NETWORK.name} of {locator.cluster} takes them and ignores them.",
            "Let it enforce them:",
            f"aws eks update-addon --region {locator.region} --cluster-name {locator.cluster} "
            f"--addon-name {NETWORK.name} --resolve-conflicts PRESERVE "
            f"--configuration-values '{NETWORK.configuration}'",
        )


def _enforces(configuration: str) -> bool:
    try:
        return str(json.loads(configuration)["enableNetworkPolicy"]).lower() == "true"
    except (ValueError, KeyError, TypeError):
        return False
