"""What takes backups on Cloud Run: schedule, job, tool, what its account may do, and how it is asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.backup import bundle, job
from mlflow_backend.backup.task_backups import TaskBackups
from mlflow_backend.backup.tool import DEADLINE_S
from mlflow_backend.cloudrun.locator import locator_of
from mlflow_backend.cloudrun.oneshot import CloudRunJob
from mlflow_backend.cloudrun.platform import CloudRunPlatform
from mlflow_backend.cloudrun.refusals import refuse_unsupported
from mlflow_backend.cloudrun.render import jobs
from mlflow_backend.cloudrun.traffic import outcome_of
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.gcp import backup_tool
from mlflow_backend.gcp import permissions as allowed
from mlflow_backend.gcp.backups import BucketDestination
from mlflow_backend.gcp.existing import backups as judged
from mlflow_backend.gcp.render import identity, network, scheduler
from mlflow_backend.gcp.root import GcsRoot
from mlflow_backend.releases.lease import LEASE
from mlflow_backend.releases.stores import LEDGER, LOCKS, STAGING
from mlflow_backend.schedules import BACKUP
from mlflow_backend.target import Finished
from tests import google_apis
from tests.components.cloudrun.stacks import NAMING, VARIANTS, changed, surroundings
from tests.components.gcp.emulated_google import EmulatedGoogle
from tests.components.messages import raised

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SETTINGS = changed("backups", {})
SECTION = VARIANTS["backups"]["backup"]
BODY = jobs.backup_job(SETTINGS, NAMING, surroundings(SETTINGS))
(CONTAINER,) = BODY["template"]["template"]["containers"]
OWN = GcsRoot(bucket="own", root="r")
THERE = GcsRoot(bucket="elsewhere", root="team/gcp")


def test_the_scheduler_runs_the_one_job_as_its_own_account() -> None:
    """In UTC, as the setting says; its document is one of Cloud Scheduler's."""
    refuse_unsupported(SETTINGS)
    body = scheduler.job(SETTINGS, NAMING, "backup")
    assert google_apis.problems("cloudscheduler.v1", "Job", body) == []
    assert (body["schedule"], body["timeZone"]) == ("0 2 * * *", "Etc/UTC")
    target = body["httpTarget"]
    assert target["uri"].endswith(f"/v2/{NAMING.parent}/jobs/{NAMING.job('backup')}:run")
    assert target["oauthToken"]["serviceAccountEmail"] == BODY["template"]["template"]["serviceAccount"]


def test_only_who_schedules_needs_the_scheduler() -> None:
    """`never` leaves out its API and its permissions, and a backup can still be taken."""
    never = changed("backups", {"backup": {"schedule": "never"}})
    for settings, scheduled in ((SETTINGS, True), (never, False), (changed("basic", {}), False)):
        assert (scheduler.API in network.apis(settings)) is scheduled
        assert ("cloudscheduler.jobs.create" in allowed.wanted(settings)) is scheduled


def test_the_job_has_the_servers_database_and_the_secrets_to_seal() -> None:
    """No password of the database's administrator, and of the backend's own parts what a dump needs alone."""
    given = {each["name"]: each["valueSource"]["secretKeyRef"] for each in CONTAINER["env"] if "valueSource" in each}
    assert {job.variable(name) for name in ("kek-passphrase", "webhook-key", "admin-user", "flask-secret-key")} <= set(
        given
    )
    assert "PGPASSWORD" in given
    assert not {name for name, each in given.items() if "database-admin" in each["secret"]}
    assert BODY["template"]["template"]["maxRetries"] == 0


def test_the_newest_api_keys_are_backed_up() -> None:
    """Who adds a key makes no update; the key by which the backend verifies itself is no user's."""
    settings = changed("token", {"backup": SECTION})
    refuse_unsupported(settings)
    (container,) = jobs.backup_job(settings, NAMING, surroundings(settings))["template"]["template"]["containers"]
    given = {each["name"]: each["valueSource"]["secretKeyRef"] for each in container["env"] if "valueSource" in each}
    assert given[job.variable(bundle.API_KEYS)] == {"secret": NAMING.secret("api-keys"), "version": "latest"}
    assert not {name for name, each in given.items() if "verification" in each["secret"]}


def test_no_backup_outlasts_its_lock() -> None:
    """A second one would begin beside it."""
    assert BODY["template"]["template"]["timeout"] == f"{DEADLINE_S}s"
    assert LEASE.total_seconds() > DEADLINE_S


def test_another_job_is_another_tool() -> None:
    """An execution that starts meanwhile finds its own."""
    tool = jobs.backup_tool(SETTINGS, NAMING)
    assert CONTAINER["args"][-2:] == [tool.bucket, tool.key]
    other = jobs.backup_tool(changed("backups", {"backup": {"destination": "gs://third/team"}}), NAMING)
    assert other.key != tool.key
    assert json.loads(tool.job)["destination"] == {
        "bucket": "elsewhere", "root": "team/gcp", "region": "", "endpoint": None,
    }  # fmt: skip


def test_the_tool_is_written_found_and_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is gone is written by the next update; what the job does with it is a program that Python takes."""
    api = EmulatedGoogle()
    monkeypatch.setattr(backup_tool, "shared", lambda: api)
    tool = jobs.backup_tool(SETTINGS, NAMING)
    api.bucket(tool.bucket)
    props = vars(tool)
    assert backup_tool.changed(props, props)
    assert backup_tool.ensure(props) == props
    assert (backup_tool.current(props), backup_tool.changed(props, props)) == (props, False)
    backup_tool.delete(props)
    assert backup_tool.current(props) is None
    program = CONTAINER["args"][CONTAINER["args"].index("-c") + 1]
    compile(program, "program", "exec")


@pytest.fixture
def account() -> EmulatedGoogle:
    """Both buckets, asked as the account of the job."""
    api = EmulatedGoogle()
    granted = identity.grants(OWN, {}, backups=THERE)
    for bucket in (OWN.bucket, THERE.bucket):
        bindings = [each.binding(NAMING) for each in granted if each.resource == bucket and each.account == "backup"]
        api.bucket(bucket, *bindings)
    return api


def _denied(call: Callable[[], object]) -> None:
    with raised("gcs-store-denied", "403", kind=PlatformFailed):
        call()


def test_the_account_creates_backups_and_neither_overwrites_nor_deletes_one(account: EmulatedGoogle) -> None:
    """Not another stack's either; the deployer, who does all of it here, may."""
    deployer = BucketDestination(account, THERE)
    other = BucketDestination(account, GcsRoot(bucket=THERE.bucket, root="team/other"))
    other.create("backups/1/x", b"x")
    account.caller = NAMING.email(BACKUP)
    mine = BucketDestination(account, THERE)
    assert mine.create("backups/1/x", b"x")
    mine.write("contents/x", lambda write: write(b"y"))
    assert [each.key for each in mine.listing("backups")] == ["backups/1/x"]
    assert mine.read(["backups/1/x"]) == {"backups/1/x": b"x"}
    _denied(lambda: mine.replace("backups/1/x", b"forged"))
    _denied(lambda: mine.delete("backups/1/x"))
    _denied(lambda: other.read(["backups/1/x"]))
    _denied(lambda: other.listing("backups"))
    _denied(lambda: other.create("backups/2/x", b"x"))
    assert deployer.read(["backups/1/x"]) == {"backups/1/x": b"x"}


def test_the_account_reads_the_backend_and_writes_its_dump_and_lock(account: EmulatedGoogle) -> None:
    """Neither artifacts nor the ledger can be changed by whoever has it."""
    deployer, artifact = BucketDestination(account, OWN), "artifacts/1/model.bin"
    for key in (artifact, f"{LEDGER}/1.json", "_backend/newest", "_backend/verify/job"):
        deployer.create(key, b"x")
    account.caller = NAMING.email(BACKUP)
    mine = BucketDestination(account, OWN)
    assert set(mine.read([artifact, f"{LEDGER}/1.json", "_backend/newest"])) == {
        artifact, f"{LEDGER}/1.json", "_backend/newest",
    }  # fmt: skip
    for key in (f"{STAGING}/1/tracking.dump", f"{LOCKS}/backup.json"):
        assert mine.create(key, b"x")
        mine.delete(key)
    for key in (artifact, f"{LEDGER}/1.json", "_backend/newest"):
        _denied(lambda key=key: mine.replace(key, b"y"))
    _denied(lambda: mine.read(["_backend/verify/job"]))


def test_the_database_tool_reads_what_a_restore_opened_and_changes_nothing_of_it() -> None:
    """Its account may read staged dumps and write nothing beside its own, and reads no backup."""
    api = EmulatedGoogle()
    granted = identity.grants(OWN, {}, backups=THERE)
    for bucket in (OWN.bucket, THERE.bucket):
        own = [each for each in granted if each.resource == bucket and each.account == identity.DATABASE]
        api.bucket(bucket, *(each.binding(NAMING) for each in own))
    opened, sealed = f"{STAGING}/1/tracking.dump", "backups/1/tracking.dump.age"
    BucketDestination(api, OWN).create(opened, b"x")
    BucketDestination(api, THERE).create(sealed, b"x")
    api.caller = NAMING.email(identity.DATABASE)
    mine = BucketDestination(api, OWN)
    assert mine.read([opened]) == {opened: b"x"}
    _denied(lambda: mine.replace(opened, b"y"))
    _denied(lambda: BucketDestination(api, THERE).read([sealed]))


@pytest.mark.parametrize(
    ("bucket", "finding"),
    [
        (None, "is not there"),
        ({}, "uniform access"),
        ({"iamConfiguration": {"uniformBucketLevelAccess": {"enabled": True}}}, "takes backups"),
        (
            {"iamConfiguration": {"uniformBucketLevelAccess": {"enabled": True}}, "retentionPolicy": {}},
            "takes backups",
        ),
    ],
)
def test_the_destination_is_looked_at_before(bucket: dict[str, Any] | None, finding: str) -> None:
    """One that keeps each object for a time is as good as any."""
    found = judged("elsewhere", bucket)
    assert (found.prop, finding in str(found)) == ("backup.destination", True)


CREATED = "2026-11-29T02:00:00.1Z"


@pytest.mark.parametrize(
    ("execution", "words"),
    [
        ({}, "under way since 2026-11-29 02:00:00Z"),
        ({"completionTime": CREATED, "succeededCount": 1}, "done, begun 2026-11-29 02:00:00Z"),
        (
            {
                "completionTime": CREATED,
                "conditions": [{"type": "Completed", "state": "CONDITION_FAILED", "message": "exit(4)"}],
            },
            "failed, begun 2026-11-29 02:00:00Z: Completed: exit(4)",
        ),
    ],
)
def test_status_says_how_the_last_execution_went(execution: dict[str, Any], words: str) -> None:
    """In Google's own words if it failed."""
    assert outcome_of({"createTime": CREATED, **execution}) == words


class _Run:
    """Cloud Run as far as a backup asks it."""

    naming = NAMING

    def __init__(self, found: dict[str, Any] | None) -> None:
        self._found, self.api = found, self

    def job(self, name: str) -> dict[str, Any] | None:
        assert name == NAMING.job("backup")
        return self._found

    def get(self, _host: str, path: str) -> dict[str, Any]:
        assert path.endswith("/executions/e1")
        return {"createTime": CREATED}


def _backups(found: dict[str, Any] | None) -> TaskBackups:
    run: Any = _Run(found)
    platform = CloudRunPlatform(locator_of(SETTINGS, NAMING), run)
    platform.run = run
    return TaskBackups(platform, Path("Pulumi.gcp.yaml"))


def _take(taken: TaskBackups, *, dry_run: bool = False) -> Any:
    nowhere: Any = None
    return taken.take(nowhere, recovery_key="age1", dry_run=dry_run, say=lambda _: None)


def test_the_command_runs_what_the_job_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tool is that of the last update, and its report is found in the log."""
    ran: list[Sequence[str]] = []

    def run(_self: object, command: Sequence[str], **_how: object) -> Finished:
        ran.append(command)
        return Finished(exit_code=0, lines=("dumping", "{", ' "exit_code": 0', "}"), reasons=())

    monkeypatch.setattr(CloudRunJob, "run", run)
    assert _take(_backups(BODY)) == {"exit_code": 0}
    _take(_backups(BODY), dry_run=True)
    assert ran == [("python", *CONTAINER["args"]), ("python", *CONTAINER["args"], "--dry-run")]


def test_a_backend_without_the_job_takes_none() -> None:
    """The setting is new, and no update has made it yet."""
    with raised("backup-not-deployed"):
        _take(_backups(None))
    assert _backups(None).schedules() == {}
    assert _backups({**BODY, "latestCreatedExecution": {"name": "e1"}}).schedules() == {
        "backup": "under way since 2026-11-29 02:00:00Z"
    }
