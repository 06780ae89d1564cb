"""A provider that a program gives to a backend: refused before anything is asked or made, and told what to use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_aws
import pulumi_gcp
import pulumi_kubernetes
import pytest

from mlflow_backend.cloudrun.backend import CloudRunBackend, CloudRunBackendArgs
from mlflow_backend.contract import Refused
from mlflow_backend.ecs.args import EcsBackendArgs
from mlflow_backend.ecs.backend import EcsBackend
from mlflow_backend.eks.backend import EksBackend, EksBackendArgs
from mlflow_backend.given_providers import has_provider
from mlflow_backend.kubernetes.backend import KubernetesBackend, KubernetesBackendArgs
from tests.components.cloudrun import stacks as cloudrun
from tests.components.ecs import stacks as ecs
from tests.components.eks import stacks as eks
from tests.components.kubernetes import stacks as kubernetes
from tests.components.registrations import FakePlatform, registered_by

if TYPE_CHECKING:
    from collections.abc import Callable

BACKENDS: dict[str, tuple[Any, Any, Callable[[], Any], str]] = {
    "ecs": (EcsBackend, EcsBackendArgs, lambda: ecs.settings_of("dev"), "aws"),
    "eks": (EksBackend, EksBackendArgs, lambda: eks.settings_of("eks"), "aws"),
    "eks, the cluster's": (EksBackend, EksBackendArgs, lambda: eks.settings_of("eks"), "kubernetes"),
    "kubernetes": (KubernetesBackend, KubernetesBackendArgs, lambda: kubernetes.settings_of("cluster"), "kubernetes"),
    "cloudrun": (CloudRunBackend, CloudRunBackendArgs, lambda: cloudrun.changed("basic", {}), "gcp"),
}
PROVIDERS: dict[str, Callable[[], pulumi.ProviderResource]] = {
    "aws": lambda: pulumi_aws.Provider("theirs", region="eu-west-1"),
    "gcp": lambda: pulumi_gcp.Provider("theirs", project="theirs"),
    "kubernetes": lambda: pulumi_kubernetes.Provider("theirs", context="theirs"),
}


@pytest.mark.parametrize("case", BACKENDS)
def test_a_provider_of_the_platform_is_refused(case: str) -> None:
    """It would be overridden, or would not reach the dynamic resources: half of a backend would be somewhere else."""
    backend, args, settings, package = BACKENDS[case]

    def build() -> pulumi.Output[Any]:
        provider = PROVIDERS[package]()
        parent = pulumi.ComponentResource("a:b:C", "theirs", None, pulumi.ResourceOptions(providers=[provider]))
        for opts in (
            pulumi.ResourceOptions(provider=provider),
            pulumi.ResourceOptions(providers=[provider]),
            pulumi.ResourceOptions(providers={package: provider}),
            pulumi.ResourceOptions(parent=parent),
        ):
            with pytest.raises(Refused) as refused:
                backend("mlflow", args(settings=settings()), opts)
            assert refused.value.code == f"{package}-provider-given"
            assert ("`Connection`" in refused.value.fix) == (package == "aws")
        return provider.id

    made = registered_by(build, FakePlatform(lambda *_: {}, preview=False), stack="try")
    assert {each.name for each in made} == {"theirs"}


def test_a_provider_of_something_else_is_none_of_it() -> None:
    """A program that makes its records elsewhere hands its providers to every component."""

    def build() -> pulumi.Output[Any]:
        other = PROVIDERS["gcp"]()
        for given in (
            pulumi.ResourceOptions(providers={"gcp": other}),
            pulumi.ResourceOptions(parent=pulumi.ComponentResource("a:b:C", "plain")),
            None,
        ):
            assert not has_provider(given, "aws")
        return other.id

    registered_by(build, FakePlatform(lambda *_: {}, preview=False), stack="try")
