"""The dynamic resources' frozen names, and when they ask for an update."""

from __future__ import annotations

import ast
import inspect
from typing import TYPE_CHECKING

import pytest
from pulumi.dynamic import Resource, ResourceProvider

from mlflow_backend.local import credentials, provider
from mlflow_backend.local.state import StateDir, write

if TYPE_CHECKING:
    from pathlib import Path


def test_names_that_stand_in_states_do_not_change() -> None:
    """Pulumi finds providers by module and class: a renamed one makes `destroy` fail for stacks that exist."""
    providers = {
        name
        for name, value in vars(provider).items()
        if inspect.isclass(value) and issubclass(value, ResourceProvider) and value.__module__ == provider.__name__
    }
    assert provider.__name__ == "mlflow_backend.local.provider"
    assert providers == {
        "_LocalProvider",
        "CredentialsProvider",
        "SupervisorProvider",
        "ServiceProvider",
        "EnvironmentProvider",
        "ServerProvider",
    }
    tokens = {
        value._resource_type_name
        for value in vars(provider).values()
        if inspect.isclass(value) and issubclass(value, Resource) and value is not Resource
    }
    assert tokens == {
        f"dynamic/mlflow-backend:Local{part}"
        for part in ("Credentials", "Supervisor", "Service", "Environment", "Server")
    }


def test_providers_keep_nothing() -> None:
    """What a provider held would be pickled into the state."""
    assert not [node for node in ast.walk(ast.parse(inspect.getsource(provider))) if _sets_attribute(node)]


def _sets_attribute(node: ast.AST) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else []
    return any(isinstance(t, ast.Attribute) and isinstance(t.value, ast.Name) and t.value.id == "self" for t in targets)


STATE = {"state": "/s", "service": "cache", "passwordVersion": "v1", "condition": "running", "listens": 5}


@pytest.mark.parametrize(
    ("olds", "news", "changes"),
    [
        (STATE, {"state": "/s", "service": "cache", "passwordVersion": "v1", "listens": None}, False),
        (STATE, {"state": "/s", "service": "cache", "passwordVersion": "v2"}, True),
        (STATE | {"condition": "fatal"}, {"state": "/s", "service": "cache", "passwordVersion": "v1"}, True),
        (STATE, {"state": "/s", "service": "cache", "passwordVersion": "v1", "port": 5000}, True),
    ],
)
def test_an_update_is_asked_for_by_another_wish_or_by_what_a_refresh_found(
    olds: dict[str, object], news: dict[str, object], *, changes: bool
) -> None:
    """Outputs that are not known yet are no wish, and `running` is the only condition that needs nothing."""
    assert provider.ServiceProvider().diff("id", olds, news).changes is changes


def test_a_rotated_secret_does_not_wait_for_a_refresh(tmp_path: Path) -> None:
    """The diff reads the files themselves."""
    state = StateDir(tmp_path / "stack")
    made = provider.CredentialsProvider().create({"state": str(state.path)})
    assert made.outs is not None
    assert provider.CredentialsProvider().diff("id", made.outs, {"state": str(state.path)}).changes is False
    write(state.credentials / credentials.CACHE, "rotated")
    assert provider.CredentialsProvider().diff("id", made.outs, {"state": str(state.path)}).changes is True
