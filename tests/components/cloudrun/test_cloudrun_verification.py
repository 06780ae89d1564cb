"""What verifies a backend on Cloud Run on a schedule: which job with which tool, and what its account may do."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from typing import Any

import pytest

from mlflow_backend.backup import job
from mlflow_backend.backup.tool import content
from mlflow_backend.backup.verify_job import ScheduledVerification
from mlflow_backend.cloudrun import verification
from mlflow_backend.cloudrun.locator import DRAWN, locator_of
from mlflow_backend.cloudrun.refusals import refuse_unsupported
from mlflow_backend.codec import from_document
from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.gcp import permissions as allowed
from mlflow_backend.gcp.render import identity, network, scheduler
from mlflow_backend.gcp.root import Store
from mlflow_backend.gcp.store import GcsStore
from mlflow_backend.releases.stores import DUMPS, JOBS, LEDGER, NEWEST
from tests import google_apis
from tests.components.cloudrun.stacks import GROUP, NAMING, changed
from tests.components.gcp.cloud_storage import EmulatedStorage
from tests.components.messages import raised

SETTINGS = changed("verified", {})
LOCATOR = locator_of(SETTINGS, NAMING)
BEHIND_IAM = {"gcp": {"access": {"identity": "iam", "principals": GROUP, "secondHeader": True}}}
OWN = Store(bucket="own", root="r")


def test_a_verification_is_given_what_an_update_gives_it() -> None:
    """The URL that users call, a login by reference, the profile; what serves is the ledger's word."""
    tool = verification.tool(SETTINGS, LOCATOR)
    assert tool is not None
    packed = zipfile.ZipFile(io.BytesIO(content(tool.program, tool.job, tool.settings, cloud="gcp")))
    assert {"mlflow_backend/gcp/verify_task.py", "mlflow_backend/verify/runner.py", job.JOB} <= set(packed.namelist())
    wanted = from_document(ScheduledVerification, json.loads(packed.read(job.JOB)))
    assert (wanted.subject.url, wanted.subject.access, wanted.subject.stack) == (NAMING.url(), True, NAMING.stack)
    assert all(reference.startswith("env:") for reference in wanted.subject.credentials.values())
    assert tool.key.startswith(f"{JOBS}/")


@pytest.mark.parametrize(("changes", "drawn"), [({}, False), (BEHIND_IAM, True)])
def test_the_job_runs_it_by_itself(changes: dict[str, Any], *, drawn: bool) -> None:
    """Behind Google's check it draws its own token."""
    settings = changed("verified", changes)
    command = verification.command(settings, locator_of(settings, NAMING))
    compile(command[2], "program", "exec")
    assert (DRAWN in command[2]) is drawn


@pytest.mark.parametrize(
    ("variant", "changes", "wanted"),
    [
        ("verified", {}, {"verify": "30 * * * *"}),
        ("verified", {"verify": {"schedule": "never"}}, {}),
        ("backups", {}, {"backup": "0 2 * * *"}),
        ("basic", {}, {}),
    ],
)
def test_only_what_is_set_is_scheduled(variant: str, changes: dict[str, Any], wanted: dict[str, str]) -> None:
    """Else neither the scheduler's API is enabled, nor is the deployer asked for its permissions."""
    settings = changed(variant, changes)
    assert scheduler.schedules(settings) == wanted
    assert (scheduler.API in network.apis(settings)) is bool(wanted)
    assert ("cloudscheduler.jobs.create" in allowed.wanted(settings)) is bool(wanted)
    assert (verification.tool(settings, locator_of(settings, NAMING)) is None) is ("verify" not in wanted)


def test_the_scheduler_runs_the_job_as_its_own_account() -> None:
    """Its document is one of Cloud Scheduler's."""
    body = scheduler.job(SETTINGS, NAMING, "verify")
    assert google_apis.problems("cloudscheduler.v1", "Job", body) == []
    target = body["httpTarget"]
    assert target["uri"].endswith(f"/jobs/{NAMING.job('verify')}:run")
    assert target["oauthToken"]["serviceAccountEmail"] == NAMING.email("verify")


def test_its_account_reads_the_ledger_and_its_tool_and_nothing_else() -> None:
    """And without a schedule not the ledger either."""
    api = EmulatedStorage()
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


def test_one_that_could_not_sign_in_is_refused() -> None:
    """IAP wants a token that is signed, which the account of the job may not do for itself."""
    settings = changed("iap", {"verify": {"schedule": "0 * * * *"}})
    with pytest.raises(Refused, match=r"verify\.schedule"):
        refuse_unsupported(settings)


def test_the_login_is_the_one_of_the_tasks_own_environment() -> None:
    """A locator with Google's check has the token that the task drew."""
    behind = replace(LOCATOR, identity="iam", audience="a")
    tool = verification.tool(SETTINGS, behind)
    assert tool is not None
    assert json.loads(tool.job)["subject"]["credentials"]["gateToken"] == f"env:{DRAWN}"
