"""Type tokens, which are part of every URN, and the paths of dynamic providers, by which Pulumi finds them again."""

from __future__ import annotations

import ast
import importlib
import re
from typing import TYPE_CHECKING

import pytest

from mlflow_backend import tokens
from tests.tools.projects import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

DYNAMIC = "pulumi-python:dynamic/"
DECLARED = {value for name, value in vars(tokens).items() if name.isupper() and isinstance(value, str)}

COMPONENTS = {
    "mlflow-backend:local:Backend",
    "mlflow-backend:ecs:Backend",
    "mlflow-backend:aws:Network",
    "mlflow-backend:aws:Balancer",
    "mlflow-backend:aws:Storage",
    "mlflow-backend:aws:Database",
    "mlflow-backend:aws:Cache",
    "mlflow-backend:aws:Identity",
    "mlflow-backend:ecs:Service",
    "mlflow-backend:aws:Monitoring",
    "mlflow-backend:ecs:Protection",
    "mlflow-backend:eks:Backend",
    "mlflow-backend:aws:Cluster",
    "mlflow-backend:kubernetes:Backend",
    "mlflow-backend:cloudrun:Backend",
    "mlflow-backend:gcp:Network",
    "mlflow-backend:gcp:Storage",
    "mlflow-backend:gcp:Database",
    "mlflow-backend:gcp:Cache",
    "mlflow-backend:gcp:Identity",
    "mlflow-backend:gcp:Monitoring",
}
"""The tokens of components: a backend whose token changed is another one, and is made anew with its data."""

PROVIDERS = {
    "mlflow-backend:Verification": "mlflow_backend.verification.provider.VerificationProvider",
    "mlflow-backend:Preflight": "mlflow_backend.preflight.provider.PreflightProvider",
    "mlflow-backend:AwsServerSecrets": "mlflow_backend.aws.provider.ServerSecretsProvider",
    "mlflow-backend:AwsApiKeys": "mlflow_backend.aws.provider.ApiKeysProvider",
    "mlflow-backend:AwsCacheToken": "mlflow_backend.aws.provider.CacheTokenProvider",
    "mlflow-backend:AwsInsightsLogs": "mlflow_backend.aws.provider.InsightsLogsProvider",
    "mlflow-backend:KubernetesServerSecrets": "mlflow_backend.kubernetes.provider.ServerSecretsProvider",
    "mlflow-backend:KubernetesCandidate": "mlflow_backend.kubernetes.provider.CandidateProvider",
    "mlflow-backend:EksLogin": "mlflow_backend.eks.provider.LoginProvider",
    "mlflow-backend:KubernetesClientLogin": "mlflow_backend.kubernetes.provider.ClientLoginProvider",
    "mlflow-backend:KubernetesStores": "mlflow_backend.kubernetes.provider.StoresProvider",
    "mlflow-backend:KubernetesRollout": "mlflow_backend.kubernetes.provider.RolloutProvider",
    "mlflow-backend:GcpBackupTool": "mlflow_backend.gcp.provider.BackupToolProvider",
    "mlflow-backend:GcpServerSecrets": "mlflow_backend.gcp.provider.ServerSecretsProvider",
    "mlflow-backend:CloudRunCandidate": "mlflow_backend.cloudrun.provider.CandidateProvider",
    "mlflow-backend:CloudRunRollout": "mlflow_backend.cloudrun.provider.RolloutProvider",
    "mlflow-backend:EcsBackupTool": "mlflow_backend.ecs.provider.BackupToolProvider",
    "mlflow-backend:EcsRollout": "mlflow_backend.ecs.provider.RolloutProvider",
    "mlflow-backend:Migration": "mlflow_backend.migrate.provider.MigrationProvider",
    "mlflow-backend:Reencryption": "mlflow_backend.migrate.provider.ReencryptionProvider",
    "mlflow-backend:Users": "mlflow_backend.users.provider.UsersProvider",
    "mlflow-backend:LedgerEntry": "mlflow_backend.releases.provider.LedgerEntryProvider",
    "mlflow-backend:Hold": "mlflow_backend.releases.provider.HoldProvider",
    "mlflow-backend:LocalCredentials": "mlflow_backend.local.provider.CredentialsProvider",
    "mlflow-backend:LocalSupervisor": "mlflow_backend.local.provider.SupervisorProvider",
    "mlflow-backend:LocalService": "mlflow_backend.local.provider.ServiceProvider",
    "mlflow-backend:LocalEnvironment": "mlflow_backend.local.provider.EnvironmentProvider",
    "mlflow-backend:LocalServer": "mlflow_backend.local.provider.ServerProvider",
    "mlflow-backend:LocalTimer": "mlflow_backend.local.provider.TimerProvider",
}
"""Token of each dynamic resource -> its provider, which the state of every stack names by this path (frozen)."""


def dynamic_resources() -> Iterator[tuple[str, str, str]]:
    """Each dynamic resource of the package, read from its source: module, class, and the class of its provider."""
    package = ROOT / "components" / "mlflow_backend"
    for path in sorted(package.rglob("*.py")):
        module = ".".join(path.relative_to(package.parent).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and {"module", "name"} <= {each.arg for each in node.keywords}:
                (provider,) = re.findall(r"super\(\).__init__\((\w+)\(", ast.unparse(node))
                yield module, node.name, provider


FOUND = list(dynamic_resources())


def test_every_token_is_pinned() -> None:
    """No token is lost or renamed without a line in `RETIRED`, and a new one is pinned before its release."""
    pinned = COMPONENTS | {f"{DYNAMIC}{token}" for token in PROVIDERS}
    assert pinned == DECLARED | set(tokens.RETIRED)
    assert set(tokens.RETIRED.values()) <= DECLARED


def test_a_token_has_three_parts() -> None:
    """Pulumi refuses others, at the first `up` that meets them."""
    assert {len(token.split(":")) for token in DECLARED} == {3}


@pytest.mark.parametrize(("module", "name", "provider"), FOUND, ids=[name for _, name, _ in FOUND])
def test_a_dynamic_resource_has_its_token_and_its_provider(module: str, name: str, provider: str) -> None:
    """Pulumi composes the token from a class's keywords, and finds the provider of a stack by module and class."""
    found = importlib.import_module(module)
    token = getattr(found, name)._resource_type_name.removeprefix("dynamic/")
    assert PROVIDERS.get(token) == f"{getattr(found, provider).__module__}.{provider}"


def test_every_pinned_provider_is_a_resources() -> None:
    """A provider that nothing registers any more is one that a stack cannot destroy."""
    assert {f"{module}.{provider}" for module, _, provider in FOUND} == set(PROVIDERS.values())


@pytest.mark.parametrize("path", sorted(PROVIDERS.values()))
def test_a_provider_holds_nothing(path: str) -> None:
    """What a provider holds is pickled into the state of every stack, in plain: a secret there needs the passphrase."""
    module, _, name = path.rpartition(".")
    provider = getattr(importlib.import_module(module), name)()
    assert vars(provider) == {}
    assert provider.serialize_as_secret_always is False


def test_snapshots_hold_no_token_that_is_not_declared() -> None:
    """What both targets register under mocks has tokens of tokens.py only, and every component is among it."""
    own = re.compile(r"(?:^|\$)((?:mlflow-backend|pulumi-python):[^$]+?)(?=::|\$)", re.MULTILINE)
    texts = [path.read_text() for path in (ROOT / "tests" / "components").glob("*/snapshots/*.txt")]
    types = {found for text in texts for found in own.findall(text)}
    assert types - DECLARED == set()
    assert COMPONENTS - types == set()
