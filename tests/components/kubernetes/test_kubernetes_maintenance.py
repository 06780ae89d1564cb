"""What maintains a backend in a cluster: its pods, its CronJob, and what is made of a Job's report."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.backup.task_maintenance import TaskMaintenance
from mlflow_backend.codec import to_document
from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.kubernetes.naming import JOB
from mlflow_backend.kubernetes.oneshot import KubernetesJob
from mlflow_backend.kubernetes.platform import KubernetesPlatform
from mlflow_backend.kubernetes.render import maintenance
from mlflow_backend.releases.lease import LEASE
from mlflow_backend.schedules import MAINTENANCE
from mlflow_backend.target import Finished
from tests.components.kubernetes.documents import all_of, environment_of, pod_of, tool_of
from tests.components.kubernetes.stacks import naming, settings_of
from tests.components.maintained import FOUND, reported

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEDULED = {"maintain": {"schedule": "0 3 * * 0", "keepDeletedDays": 7}}


def test_without_a_schedule_it_is_done_by_command_alone() -> None:
    """Nobody asked for a removal who set nothing."""
    settings = settings_of()
    assert set(maintenance.documents(settings, naming(settings))) == {"maintenance-tool", MAINTENANCE}


def test_the_platforms_own_scheduler_starts_one_at_a_time() -> None:
    """It waits for a backup under way, and ends before its lock does."""
    spec = all_of(settings_of("cluster", SCHEDULED))["maintenance-schedule"]["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == ("0 3 * * 0", "Etc/UTC", "Forbid")
    job = spec["jobTemplate"]["spec"]
    assert maintenance.DEADLINE_S <= job["activeDeadlineSeconds"] < LEASE.total_seconds()
    (container,) = job["template"]["spec"]["containers"]
    assert [*maintenance.COMMAND, "--wait"] == container["command"][-len(maintenance.COMMAND) - 2 : -1]


def test_its_pods_are_let_in_as_the_other_tasks_are() -> None:
    """They call the servers as an administrator, by the login in the Secret, and the database as the server does."""
    documents = all_of(settings_of("prefix"))
    pod, environment = pod_of(documents[MAINTENANCE]), environment_of(documents[MAINTENANCE])
    assert pod["metadata"]["labels"].items() >= naming(settings_of()).selector(JOB).items()
    assert environment["MLFLOW_TRACKING_URI"].endswith(".svc/mlflow")
    assert environment["MLFLOW_TRACKING_PASSWORD"] == ("mlflow-cluster-server", "admin-password")
    assert environment["MLFLOW_BACKEND_STORE_URI"]


def test_the_tool_is_what_the_command_runs_and_its_job_what_the_settings_say() -> None:
    """The zip is in the ConfigMap that the pod mounts, well below what one takes (1 MiB)."""
    documents = all_of(settings_of("cluster", SCHEDULED))
    tool = documents["maintenance-tool"]
    names, path = tool_of(documents, MAINTENANCE)
    assert "__main__.py" in names
    assert len(json.dumps(tool)) < 512 * 1024
    assert maintenance.COMMAND[1] == path
    assert json.loads(tool["data"]["job.json"])["keep_deleted_days"] == 7


class Platform(KubernetesPlatform):
    """A backend in no cluster, of which only the serving revision and its names are known."""

    def __init__(self, serving: str | None = "r1") -> None:
        self.api, self.naming, self._serving = None, naming(settings_of()), serving  # type: ignore[assignment]

    def serving(self) -> str | None:
        """Return the revision."""
        return self._serving


def ending(monkeypatch: pytest.MonkeyPatch, *lines: str) -> list[Sequence[str]]:
    """Let Jobs end with these lines, and return the commands that they were given."""
    commands: list[Sequence[str]] = []

    def run(_self: object, command: Sequence[str], **_how: object) -> Finished:
        commands.append(command)
        return Finished(exit_code=0, lines=lines, reasons=())

    monkeypatch.setattr(KubernetesJob, "run", run)
    return commands


def test_what_a_job_did_is_the_same_value_as_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The days and the dry run are the command's, because a setting may be newer than the last update."""
    commands = ending(monkeypatch, *reported(exit_code=0, maintained=to_document(FOUND)))
    done = TaskMaintenance(Platform()).maintain(keep_deleted_days=9, dry_run=True)
    assert done == FOUND
    assert list(commands[0][-3:]) == ["--keep-deleted-days", "9", "--dry-run"]


@pytest.mark.parametrize(("code", "error"), [(3, Refused), (4, PlatformFailed)])
def test_why_a_job_did_not_is_the_commands_own_error(
    monkeypatch: pytest.MonkeyPatch, code: int, error: type[Exception]
) -> None:
    """A backup under way refuses, and nothing was touched; anything else failed."""
    ending(monkeypatch, *reported(exit_code=code, code="c", error="a backup is under way"))
    with pytest.raises(error, match="a backup is under way"):
        TaskMaintenance(Platform()).maintain(keep_deleted_days=9, dry_run=True)


def test_a_job_without_a_report_is_named_with_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool that cannot start says why in a traceback."""
    ending(monkeypatch, "Traceback", "ImportError: no")
    with pytest.raises(PlatformFailed, match="ImportError: no"):
        TaskMaintenance(Platform()).maintain(keep_deleted_days=9, dry_run=True)


def test_nothing_is_begun_without_a_server_or_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Artifacts are removed by the servers: each run would be kept with a reason that says nothing."""
    commands = ending(monkeypatch)
    with pytest.raises(Refused):
        TaskMaintenance(Platform(None)).maintain(keep_deleted_days=9, dry_run=False)
    with pytest.raises(Refused):
        TaskMaintenance(Platform()).remove("dumps/one", dry_run=False)
    assert commands == []
