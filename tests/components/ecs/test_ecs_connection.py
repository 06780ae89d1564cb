"""The account of the live side: whoever deployed a backend with a role asks it with that role ever after."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.ecs import doctor
from mlflow_backend.ecs.args import EcsBackendArgs
from mlflow_backend.ecs.lookup import locate
from mlflow_backend.ecs.provider import RolloutProvider
from mlflow_backend.locator import from_document
from mlflow_backend.releases.targets import open_releases
from tests.components.ecs.cloud import LOCATOR
from tests.components.ecs.services import deployment, service
from tests.components.ecs.stacks import ACCOUNT, naming_of, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable

LOCATED = replace(LOCATOR, role="arn:aws:iam::123456789012:role/deploy")
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:s-AbCdEf"
ROLLOUT: dict[str, Any] = {"revision": "41", "locator": LOCATED.document(), "deadline": 1}

ASKING: dict[str, tuple[Callable[[Any], Any], set[str]]] = {
    "revisions": (lambda platform: platform.revisions(), {"ecs"}),
    "the ledger": (lambda platform: platform.store.read(["_backend/state.json"]), {"s3"}),
    "the schema": (lambda platform: platform.heads(), {"ecs"}),
    "a migration's drain": (lambda platform: platform.stop_servers(), {"ecs", "s3", "application-autoscaling"}),
    "a rollback": (lambda platform: platform.start_servers("41"), {"ecs"}),
    "status": (lambda platform: list(platform.parts()), {"ecs", "rds"}),
    "logs": (lambda platform: list(platform.tails("server", lines=1)), {"ecs", "logs"}),
    "a red verdict": (lambda platform: platform.count("FAIL"), {"logs"}),
    "a login": (lambda platform: platform.secrets()["secretsmanager"](f"{SECRET}#key"), {"secretsmanager"}),
    "new keys": (lambda platform: platform.rotate_keys(lost=False), {"secretsmanager"}),
    "the rollout": (lambda _: RolloutProvider().create(ROLLOUT), {"ecs", "s3"}),
    "a refresh": (lambda _: RolloutProvider().read("41", ROLLOUT), {"ecs"}),
}
"""What is asked of a backend, and the services that it may ask for that."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """Service -> whose credentials its calls were made with. AWS shows a service, and denies all else."""
    found: dict[str, set[str]] = defaultdict(set)

    def answer(client: Any, operation: str, _: object) -> dict[str, Any]:
        found[client.meta.service_model.service_name].add(client._request_signer._credentials.method)
        if operation == "DescribeServices":
            tasks = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
            return service(deployment(41), desiredCount=1, runningCount=1, pendingCount=0, networkConfiguration=tasks)
        if operation == "GetCallerIdentity":
            return {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/ann"}
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "denied"}}, operation)

    monkeypatch.setattr(BaseClient, "_make_api_call", answer)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    return found


@pytest.mark.parametrize(("ask", "services"), ASKING.values(), ids=ASKING)
def test_everything_is_asked_with_the_role(
    asked: dict[str, set[str]], ask: Callable[[Any], Any], services: set[str]
) -> None:
    """With the caller's own credentials a rollback would look into another account, and find no service there."""
    with contextlib.suppress(ClientError, PlatformFailed, Refused):
        ask(open_releases(LOCATED).platform)
    assert asked, "nothing was asked"
    assert asked.keys() <= services
    assert set().union(*asked.values()) == {"assume-role"}


def test_what_is_missing_is_asked_with_the_role(asked: dict[str, set[str]]) -> None:
    """Another account than the one that the update would meet says nothing about it."""
    args = EcsBackendArgs(settings=settings_of("dev"), connection=LOCATED.connection)
    doctor.check(args, naming_of("dev"))
    assert asked.keys() >= {"sts", "iam", "ecr", "ecs", "service-quotas"}
    assert set().union(*asked.values()) == {"assume-role"}


def test_a_backend_is_looked_up_with_the_role(asked: dict[str, set[str]]) -> None:
    """By its names, in the account of its connection."""
    with contextlib.suppress(Refused):
        locate(settings_of("dev"), naming_of("dev"), LOCATED.connection)
    assert set().union(*asked.values()) == {"assume-role"}


def test_the_role_is_in_the_locator_and_found_again() -> None:
    """The document in the backend's store is all that a command has."""
    found = from_document(LOCATED.document())
    assert found == LOCATED
    assert LOCATED.connection.role == LOCATED.role
