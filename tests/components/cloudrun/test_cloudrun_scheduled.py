"""What verifies and maintains a backend on Cloud Run: which job with which tool, and what its account may do."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from mlflow_backend.backup import job
from mlflow_backend.backup.maintain_job import DEADLINE_S, WAIT_S, MaintainJob
from mlflow_backend.backup.task_maintenance import TaskMaintenance
from mlflow_backend.backup.tool import content
from mlflow_backend.backup.verify_job import ScheduledVerification
from mlflow_backend.cloudrun import scheduled
from mlflow_backend.cloudrun.locator import DRAWN, locator_of
from mlflow_backend.cloudrun.oneshot import CloudRunJob
from mlflow_backend.cloudrun.platform import CloudRunPlatform
from mlflow_backend.cloudrun.refusals import refuse_unsupported
from mlflow_backend.cloudrun.render import access, jobs
from mlflow_backend.codec import from_document, to_document
from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.gcp import permissions as allowed
from mlflow_backend.gcp.backups import BucketDestination
from mlflow_backend.gcp.render import identity, network, scheduler
from mlflow_backend.gcp.root import GcsRoot
from mlflow_backend.gcp.store import GcsStore
from mlflow_backend.releases.lease import LEASE
from mlflow_backend.releases.stores import DUMPS, JOBS, LEDGER, NEWEST
from mlflow_backend.schedules import MAINTENANCE
from mlflow_backend.target import Finished
from tests import google_apis
from tests.components.cloudrun.stacks import GROUP, NAMING, changed, surroundings
from tests.components.gcp.emulated_google import EmulatedGoogle
from tests.components.maintained import FOUND, reported
from tests.components.messages import raised

SETTINGS = changed("scheduled", {})
LOCATOR = locator_of(SETTINGS, NAMING)
TWO_CHECKS = {"gcp": {"access": {"identity": "iam", "principals": GROUP, "secondHeader": True}}}
GOOGLES_CHECK = {"access": {"mode": "cloudIdentity"}, "gcp": {"access": {"identity": "iam", "principals": GROUP}}}
IAP = {"access": {"mode": "cloudIdentity"}, "gcp": {"access": {"identity": "iap", "principals": GROUP}}}
OWN = GcsRoot(bucket="own", root="r")


def test_a_verification_is_given_what_an_update_gives_it() -> None:
    """The URL that users call, a login by reference, the profile; what serves is the ledger's word."""
    tool = scheduled.verification(SETTINGS, LOCATOR)
    assert tool is not None
    packed = zipfile.ZipFile(io.BytesIO(content(tool.program, tool.job, tool.settings, cloud="gcp")))
    assert {"mlflow_backend/gcp/verify_task.py", "mlflow_backend/verify/runner.py", job.JOB} <= set(packed.namelist())
    wanted = from_document(ScheduledVerification, json.loads(packed.read(job.JOB)))
    assert (wanted.subject.url, wanted.subject.access, wanted.subject.stack) == (NAMING.url(), True, NAMING.stack)
    assert all(reference.startswith("env:") for reference in wanted.subject.credentials.values())
    assert tool.key.startswith(f"{JOBS}/")


@pytest.mark.parametrize(
    ("command", "changes", "drawn"),
    [
        (scheduled.verify_command, {}, ""),
        (scheduled.verify_command, TWO_CHECKS, DRAWN),
        (scheduled.maintain_command, {}, ""),
        (scheduled.maintain_command, GOOGLES_CHECK, "MLFLOW_TRACKING_TOKEN"),
    ],
)
def test_a_job_runs_its_tool_by_itself(command: Any, changes: dict[str, Any], drawn: str) -> None:
    """Behind Google's check it draws its own token."""
    settings = changed("scheduled", changes)
    program = command(settings, locator_of(settings, NAMING))[2]
    compile(program, "program", "exec")
    assert ("fetch_id_token" in program) is bool(drawn)
    assert drawn in program


def test_the_tool_that_maintains_names_artifacts_as_the_database_does() -> None:
    """Its job waits for a backup under way if a schedule starts it, and never outlasts its lock."""
    tool = scheduled.maintenance(SETTINGS, LOCATOR)
    packed = zipfile.ZipFile(io.BytesIO(content(tool.program, tool.job, tool.settings, cloud="gcp")))
    assert {"mlflow_backend/gcp/maintain_task.py", "mlflow_backend/migrate/tool.py"} <= set(packed.namelist())
    wanted = from_document(MaintainJob, json.loads(packed.read(job.JOB)))
    assert (wanted.address, wanted.keep_deleted_days) == (f"gs://{NAMING.bucket()}/{wanted.artifacts}", 7)
    assert scheduled.maintain_command(SETTINGS, LOCATOR)[-2:] == ("--wait", str(WAIT_S))
    assert LEASE.total_seconds() > tool.deadline_s >= DEADLINE_S


def test_the_job_that_maintains_calls_the_servers_as_an_administrator() -> None:
    """By the URL that users call; the login comes by reference, and nothing that opens the database's users."""
    body = jobs.maintenance_job(SETTINGS, NAMING, surroundings(SETTINGS), ("python", "-c", ""), url="https://u/ml")
    assert google_apis.problems("run.v2", "GoogleCloudRunV2Job", body) == []
    (container,) = body["template"]["template"]["containers"]
    given = {
        each["name"]: each["valueSource"]["secretKeyRef"]["secret"] for each in container["env"] if "value" not in each
    }
    plain = {each["name"]: each["value"] for each in container["env"] if "value" in each}
    assert plain["MLFLOW_TRACKING_URI"] == "https://u/ml"
    assert given["MLFLOW_TRACKING_PASSWORD"] == NAMING.secret("admin-password")
    assert not [name for name in given.values() if "database-admin" in name]


@pytest.mark.parametrize(("changes", "part"), [(TWO_CHECKS, "maintain"), (IAP, "verify"), (IAP, "maintain")])
def test_what_no_client_could_sign_in_for_is_refused(changes: dict[str, Any], part: str) -> None:
    """A token for IAP is signed, and MLflow's client sends one header."""
    others = {"verify": {"schedule": "never"}} if part == "maintain" else {}
    with pytest.raises(Refused, match=rf"{part}\.schedule"):
        refuse_unsupported(changed("scheduled", {**changes, **others}))


def test_a_job_that_maintains_may_call_a_service_behind_googles_check() -> None:
    """Nobody else is let in for it."""
    settings = changed("scheduled", GOOGLES_CHECK)
    (binding,) = access.bindings(settings, NAMING, own=["v", "m"])
    assert binding["members"] == sorted([*GROUP, "m", "v"])
    assert access.maintainable(settings)


def test_by_command_it_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person reads that a backup is under way; without the job it is said what makes one."""
    ran: list[Any] = []

    def run(_self: object, command: Any, **_how: object) -> Finished:
        ran.append(command)
        return Finished(exit_code=0, lines=reported(exit_code=0, maintained=to_document(FOUND)), reasons=())

    monkeypatch.setattr(CloudRunJob, "run", run)
    command = scheduled.maintain_command(SETTINGS, LOCATOR)
    body = jobs.maintenance_job(SETTINGS, NAMING, surroundings(SETTINGS), command, url="https://u")
    jobs_there: dict[str, Any] = {NAMING.job("maintenance"): body}
    api: Any = SimpleNamespace()
    platform = CloudRunPlatform(LOCATOR, api)
    monkeypatch.setattr(platform, "run", SimpleNamespace(job=jobs_there.get))
    monkeypatch.setattr(platform, "serving", lambda: "one")
    assert TaskMaintenance(platform).maintain(keep_deleted_days=3, dry_run=True) == FOUND
    assert ran == [(*command, "--wait", "0", "--keep-deleted-days", "3", "--dry-run")]
    jobs_there.clear()
    with raised("maintain-no-task"):
        TaskMaintenance(platform).maintain(keep_deleted_days=3, dry_run=True)


@pytest.mark.parametrize(
    ("variant", "changes", "wanted"),
    [
        ("scheduled", {}, {"verify": "30 * * * *", "maintenance": "0 3 * * 0"}),
        ("scheduled", {"verify": {"schedule": "never"}, "maintain": {"schedule": "never"}}, {}),
        ("backups", {}, {"backup": "0 2 * * *"}),
        ("basic", {}, {}),
    ],
)
def test_only_what_is_set_is_scheduled(variant: str, changes: dict[str, Any], wanted: dict[str, str]) -> None:
    """Without a schedule the scheduler's API stays off, and the deployer needs no permission for it."""
    settings = changed(variant, changes)
    assert scheduler.schedules(settings) == wanted
    assert (scheduler.API in network.apis(settings)) is bool(wanted)
    assert ("cloudscheduler.jobs.create" in allowed.wanted(settings)) is bool(wanted)
    assert (scheduled.verification(settings, locator_of(settings, NAMING)) is None) is ("verify" not in wanted)


def test_the_scheduler_runs_the_job_as_its_own_account() -> None:
    """Its document is one of Cloud Scheduler's."""
    body = scheduler.job(SETTINGS, NAMING, "verify")
    assert google_apis.problems("cloudscheduler.v1", "Job", body) == []
    target = body["httpTarget"]
    assert target["uri"].endswith(f"/jobs/{NAMING.job('verify')}:run")
    assert target["oauthToken"]["serviceAccountEmail"] == NAMING.email("verify")


def test_the_account_that_maintains_lists_and_locks_and_removes_nothing_itself() -> None:
    """The servers remove; neither the ledger nor a dump is in its reach to change."""
    api = EmulatedGoogle()
    granted = identity.grants(OWN, {MAINTENANCE: []})
    own = [each.binding(NAMING) for each in granted if each.account == MAINTENANCE]
    api.bucket(OWN.bucket, *own)
    BucketDestination(api, OWN).create("artifacts/1/model.bin", b"x")
    api.caller = NAMING.email(MAINTENANCE)
    mine = BucketDestination(api, OWN)
    assert [each.path for each in BucketDestination(api, GcsRoot(bucket="own", root="r/artifacts")).files()] == [
        "1/model.bin"
    ]
    assert mine.listing(DUMPS) == ()
    with mine.locked("backup", by="a test"):
        pass
    for denied in (
        lambda: mine.delete("artifacts/1/model.bin"),
        lambda: mine.replace(f"{LEDGER}/one", b"x"),
        lambda: mine.create(f"{DUMPS}/one", b"x"),
    ):
        with raised("gcs-store-denied", "403", kind=PlatformFailed):
            denied()


def test_its_account_reads_the_ledger_and_its_tool_and_nothing_else() -> None:
    """Without a schedule the ledger is not read by it either."""
    api = EmulatedGoogle()
    bindings = [
        each.binding(NAMING)
        for each in identity.grants(OWN, {}, verified=True)
        if each.kind == "bucket" and each.account == "verify"
    ]
    api.bucket(OWN.bucket, *bindings)
    api.caller = NAMING.email(identity.VERIFIER)
    store = GcsStore(api, OWN)
    readable = (f"{JOBS}/tool.zip", f"{LEDGER}/one", NEWEST)
    assert store.read(readable) == {}
    assert store.keys(LEDGER) == ()
    for key in (f"{DUMPS}/one", "artifacts/1/model.bin"):
        with raised("gcs-store-denied", "403", kind=PlatformFailed):
            store.read([key])
    with raised("gcs-store-denied", "403", kind=PlatformFailed):
        store.create(readable[0], b"another tool")
    unscheduled = [each for each in identity.grants(OWN, {}) if each.account == "verify"]
    assert not [each for each in unscheduled if LEDGER in each.condition]


def test_the_login_is_the_one_of_the_tasks_own_environment() -> None:
    """A locator with Google's check has the token that the task drew."""
    behind = replace(LOCATOR, identity="iam", audience="a")
    tool = scheduled.verification(SETTINGS, behind)
    assert tool is not None
    assert json.loads(tool.job)["subject"]["credentials"]["gateToken"] == f"env:{DRAWN}"
