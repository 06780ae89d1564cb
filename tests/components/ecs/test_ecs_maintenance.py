"""What maintains a backend on ECS: its tool, its task, whose network it is in, and the command."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.aws.render.network import tasks_call_balancer
from mlflow_backend.backup import job
from mlflow_backend.backup.maintain_job import DEADLINE_S, MaintainJob
from mlflow_backend.backup.task_maintenance import TaskMaintenance
from mlflow_backend.backup.tool import content
from mlflow_backend.codec import from_document, to_document
from mlflow_backend.contract import Refused
from mlflow_backend.ecs.oneshot import EcsTask
from mlflow_backend.ecs.platform import EcsPlatform
from mlflow_backend.ecs.refusals import refuse_unsupported
from mlflow_backend.ecs.render import roles, scheduled
from mlflow_backend.ecs.render.scheduled import VERIFY
from mlflow_backend.releases.lease import LEASE
from mlflow_backend.schedules import MAINTENANCE
from mlflow_backend.target import Finished
from tests.components.ecs.cloud import LOCATOR
from tests.components.ecs.stacks import changed, container_of, drawn_of, naming_of, settings_of, store_of, tasks_of
from tests.components.maintained import FOUND, reported

if TYPE_CHECKING:
    from collections.abc import Sequence

VARIANT = "everything"
TOOL = scheduled.tools(settings_of(VARIANT), naming_of(VARIANT))[MAINTENANCE](store_of(VARIANT), "")


def test_the_tool_is_what_the_task_unpacks() -> None:
    """Modules and the job, which names the artifacts as the database does."""
    packed = zipfile.ZipFile(io.BytesIO(content(TOOL.program, TOOL.job, TOOL.settings, cloud="aws")))
    assert {"mlflow_backend/aws/maintain_task.py", "mlflow_backend/migrate/tool.py"} <= set(packed.namelist())
    wanted = from_document(MaintainJob, json.loads(packed.read(job.JOB)))
    assert (wanted.store.bucket, wanted.keep_deleted_days) == (store_of(VARIANT).bucket, 7)
    assert wanted.address == f"s3://{wanted.store.bucket}/{wanted.artifacts}"
    assert LEASE.total_seconds() > TOOL.deadline_s >= DEADLINE_S


@pytest.mark.parametrize(
    ("variant", "login"),
    [(VARIANT, {"USERNAME": "admin-user", "PASSWORD": "admin-password"}), ("token", {"TOKEN": "verification-api-key"})],
)
def test_the_task_calls_the_servers_as_an_administrator(variant: str, login: dict[str, str]) -> None:
    """By the URL that users call; the login comes by reference."""
    container = container_of(tasks_of(variant)[MAINTENANCE])
    references = {each["name"]: each["valueFrom"] for each in container["secrets"]}
    environment = {each["name"]: each["value"] for each in container["environment"]}
    assert environment["MLFLOW_TRACKING_URI"] == drawn_of(variant).url
    assert environment["MLFLOW_BACKEND_STORE_URI"]
    for part, secret in login.items():
        assert f":{secret}:" in references[f"MLFLOW_TRACKING_{part}"]


@pytest.mark.parametrize(
    ("network", "wanted"),
    [
        ({}, True),
        ({"allowedCidrs": ["203.0.113.0/24"]}, False),
        ({"egress": "endpoints"}, False),
        ({"allowedCidrs": ["203.0.113.0/24"], "egress": "endpoints", "internal": True}, True),
    ],
)
def test_without_a_way_to_the_balancer_there_is_no_task_and_a_schedule_is_refused(
    network: dict[str, Any], *, wanted: bool
) -> None:
    """A public balancer is called from outside, also by the stack's own tasks; each hour's verification is one too."""
    maintain, verify = {"maintain": {"schedule": "0 3 * * 0"}}, {"verify": {"schedule": "0 * * * *"}}
    settings, naming = changed("staging", {"aws": {"network": network}, **maintain}), naming_of("staging")
    assert tasks_call_balancer(settings) is wanted
    assert (MAINTENANCE in scheduled.tools(settings, naming)) is wanted
    if wanted:
        both = changed("staging", {"aws": {"network": network}, **maintain, **verify})
        refuse_unsupported(both)
        assert {MAINTENANCE, VERIFY} <= {role.part for role in roles.roles(both, naming)}
    else:
        with pytest.raises(Refused, match=r"maintain\.schedule"):
            refuse_unsupported(settings)
        with pytest.raises(Refused, match=r"verify\.schedule"):
            changed("staging", {"aws": {"network": network}, **verify})


def maintained(family: str) -> TaskMaintenance:
    """Return what maintains a backend whose task has this family."""
    described = {"taskDefinition": {"containerDefinitions": [{"command": ["python", "-c", "program"]}]}}
    service = {"deployments": [{"status": "PRIMARY", "taskDefinition": "server:1", "runningCount": 1}]}
    ecs = SimpleNamespace(
        describe_task_definition=lambda **_: described, describe_services=lambda **_: {"services": [service]}
    )
    connections: Any = SimpleNamespace(clients=SimpleNamespace(ecs=ecs), scaling=None, store=None)
    return TaskMaintenance(EcsPlatform(replace(LOCATOR, maintenance_family=family), connections))


def test_the_command_runs_what_the_definition_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the days of the command, and without waiting for a backup."""
    ran: list[Sequence[str]] = []

    def run(_self: object, command: Sequence[str], **_how: object) -> Finished:
        ran.append(command)
        return Finished(exit_code=0, lines=reported(exit_code=0, maintained=to_document(FOUND)), reasons=())

    monkeypatch.setattr(EcsTask, "run", run)
    assert maintained("family").maintain(keep_deleted_days=9, dry_run=True) == FOUND
    assert ran == [("python", "-c", "program", "--wait", "0", "--keep-deleted-days", "9", "--dry-run")]


def test_a_backend_without_the_task_is_not_maintained() -> None:
    """Nothing could remove its artifacts."""
    with pytest.raises(Refused) as refused:
        maintained("").maintain(keep_deleted_days=9, dry_run=False)
    assert refused.value.code == "maintain-no-task"
