"""Type tokens are part of every URN: the set only grows, and says what the classes really are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlflow_backend import tokens
from mlflow_backend.ecs import provider as ecs
from mlflow_backend.local import provider as local
from mlflow_backend.migrate.provider import Migration, Reencryption
from mlflow_backend.preflight.provider import Preflight
from mlflow_backend.releases.provider import Hold, LedgerEntry
from mlflow_backend.verification.provider import Verification

if TYPE_CHECKING:
    import pulumi.dynamic

DECLARED = {value for name, value in vars(tokens).items() if name.isupper() and isinstance(value, str)}

RELEASED = {
    "mlflow-backend:local:Backend",
    "pulumi-python:dynamic/mlflow-backend:Verification",
    "pulumi-python:dynamic/mlflow-backend:LocalCredentials",
    "pulumi-python:dynamic/mlflow-backend:LocalSupervisor",
    "pulumi-python:dynamic/mlflow-backend:LocalService",
    "pulumi-python:dynamic/mlflow-backend:LocalEnvironment",
    "pulumi-python:dynamic/mlflow-backend:LocalServer",
    "pulumi-python:dynamic/mlflow-backend:Migration",
    "pulumi-python:dynamic/mlflow-backend:LedgerEntry",
    "pulumi-python:dynamic/mlflow-backend:Hold",
}


def test_no_released_token_is_lost() -> None:
    """A resource in somebody's state is found under its old token or replaced by name, never orphaned."""
    assert RELEASED - DECLARED - set(tokens.RETIRED) == set()
    assert set(tokens.RETIRED.values()) <= DECLARED


def test_a_token_has_three_parts() -> None:
    """Pulumi refuses others, at the first `up` that meets them."""
    for token in DECLARED:
        assert len(token.split(":")) == 3, token


@pytest.mark.parametrize(
    ("resource", "token"),
    [
        (Verification, tokens.VERIFICATION),
        (local.Credentials, tokens.LOCAL_CREDENTIALS),
        (local.SupervisorDaemon, tokens.LOCAL_SUPERVISOR),
        (local.Service, tokens.LOCAL_SERVICE),
        (local.Environment, tokens.LOCAL_ENVIRONMENT),
        (local.Server, tokens.LOCAL_SERVER),
        (Preflight, tokens.PREFLIGHT),
        (ecs.ServerSecrets, tokens.ECS_SERVER_SECRETS),
        (ecs.ApiKeys, tokens.ECS_API_KEYS),
        (ecs.CacheToken, tokens.ECS_CACHE_TOKEN),
        (ecs.InsightsLogs, tokens.ECS_INSIGHTS_LOGS),
        (ecs.Rollout, tokens.ECS_ROLLOUT),
        (Migration, tokens.MIGRATION),
        (Reencryption, tokens.REENCRYPTION),
        (LedgerEntry, tokens.LEDGER_ENTRY),
        (Hold, tokens.HOLD),
    ],
)
def test_a_dynamic_resource_has_the_token_declared_for_it(resource: type[pulumi.dynamic.Resource], token: str) -> None:
    """The token that Pulumi composes from a class's keywords is the one written down."""
    assert f"pulumi-python:{resource._resource_type_name}" == token
