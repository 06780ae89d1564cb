"""Backups on a real cluster, with real MLflow: taken by a Job by command, by kubectl and on schedule, and read anew."""

from __future__ import annotations

import contextlib
import json
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import boto3
import pytest

from mlflow_backend.aws.backups import BucketDestination
from mlflow_backend.backup import catalogue, restore, sealing
from mlflow_backend.contract import ExitCode
from mlflow_backend.kubernetes import secrets
from mlflow_backend.kubernetes.naming import SERVER
from mlflow_backend.kubernetes.render.secrets import ALWAYS
from mlflow_backend.local import credentials
from mlflow_backend.local.scratch import FOLDER
from mlflow_backend.schedules import BACKUP
from tests.engine import calls
from tests.engine.releases import support
from tests.engine.stack import LocalStack
from tests.rig.kubernetes.backend import ClusterStack
from tests.rig.kubernetes.contents import contents_of
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlflow_backend.backup.manifest import Manifest
    from tests.rig.kubernetes.cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.full, pytest.mark.timeout(900)]

BUCKET: Final = "elsewhere"
KEYS: Final = "backup-keys"
KEY: Final = sealing.new_key()
RUNS, ARTIFACT = 3, b"weights" * 100_000
# A CronJob of each minute starts within one, and its pod within another.
_SCHEDULED_S: Final = 240
_RESTORED_S: Final = 120
JOURNAL: Final = "_backend/journal/restore.json"


class BackedUp(ClusterStack):
    """The stack, whose commands are run with the keys of who reads backups."""

    @property
    def environment(self) -> dict[str, str]:
        """What every command is run with."""
        s3 = self.cluster.s3
        return {**super().environment, "AWS_ACCESS_KEY_ID": s3.access_key, "AWS_SECRET_ACCESS_KEY": s3.secret_key}

    @property
    def destination(self) -> BucketDestination:
        """The stack's backups."""
        return BucketDestination(client_of(self.cluster), bucket=BUCKET, root=f"{self.namespace}/{self.name}")

    def newest(self) -> Manifest:
        """Return the newest backup."""
        found = catalogue.read(self.destination).newest
        assert found is not None
        return found

    def backup(self, *arguments: str) -> dict[str, Any]:
        """Run the command, and return what it printed."""
        done = self.script("backup", "--json", *arguments)
        assert done.code == ExitCode.DONE, done.text
        return dict(json.loads(done.text[done.text.index("{\n") :]))


def client_of(cluster: Cluster) -> Any:
    """Return a client of the cluster's S3 server."""
    s3 = cluster.s3
    session = boto3.Session(aws_access_key_id=s3.access_key, aws_secret_access_key=s3.secret_key)
    return session.client("s3", "us-east-1", endpoint_url=s3.endpoint)


@pytest.fixture(scope="module")
def stack(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackedUp]:
    """One server, with runs and an artifact, whose backups go to another bucket."""
    sections: dict[str, dict[str, Any]] = {
        "server": {"replicas": 1},
        "scaling": {"maxReplicas": 1},
        "kubernetes": {"backup": {"endpoint": cluster.s3.endpoint, "secret": KEYS, "temporaryMib": 512}},
    }
    client_of(cluster).create_bucket(Bucket=BUCKET)
    with cluster.namespace("backups") as namespace:
        sections["backup"] = {
            "destination": f"s3://{BUCKET}/{namespace}",
            "recoveryKey": sealing.public_key(KEY),
            "schedule": "0 2 * * *",
        }
        keys = {"access-key-id": cluster.s3.access_key, "secret-access-key": cluster.s3.secret_key}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": KEYS}, "stringData": keys}
        cluster.apply(secret, namespace=namespace)
        made = BackedUp(tmp_path_factory.mktemp("backups") / "stack", cluster, namespace, stack="cluster", **sections)
        made.must_up()
        made.write_runs("before", RUNS)
        answer = made.upload("api/2.0/mlflow-artifacts/artifacts/0/model/weights.bin", iter([ARTIFACT]))
        assert answer.status == 200, answer.data
        yield made


def test_a_job_takes_a_whole_backup(stack: BackedUp) -> None:
    """Databases, artifacts and keys are at the destination; no dump in plain is left, and no Job."""
    made = stack.backup("create")
    found = stack.newest()
    assert made["id"] == found.id
    assert (found.target, found.stack) == ("kubernetes", stack.name)
    assert found.databases["tracking"].rows["runs"] >= RUNS
    index = catalogue.index_of(stack.destination, found)
    assert index["0/model/weights.bin"].size_bytes == len(ARTIFACT)
    assert stack.platform.store.keys("_backend/staging") == ()
    assert stack.found("jobs") == set()


def test_it_is_whole_by_every_checksum_and_listed(stack: BackedUp) -> None:
    """Whoever reads backups needs the bucket alone; the list says when the next one is due."""
    assert stack.backup("verify", "--read")["damages"] == []
    listed = stack.backup("list")
    assert [each["state"] for each in listed["backups"]] == ["unproved"]
    assert "next" in listed["schedules"][BACKUP]


def test_the_recovery_key_alone_opens_what_the_servers_know_their_data_by(stack: BackedUp) -> None:
    """The keys at rest are those of the server's Secret; nothing in the cluster opens them."""
    held = secrets.values(stack.platform.api, stack.naming.part(SERVER))
    opened = restore.opened_secrets(stack.destination, stack.newest(), KEY)
    assert opened == {name: held[name] for name in ALWAYS}


def test_what_is_unchanged_is_not_read_again(stack: BackedUp) -> None:
    """A second backup would copy nothing."""
    planned = stack.backup("--dry-run", "create")
    assert (planned["toRead"], planned["unchanged"]) == (0, stack.newest().artifacts.files)


def test_kubectl_takes_one_from_the_schedule(stack: BackedUp) -> None:
    """`kubectl create job --from=cronjob/NAME` needs nothing of this project."""
    before = stack.newest().id
    stack.kubectl("create", "job", "by-hand", f"--from=cronjob/{stack.naming.part(BACKUP)}")
    stack.kubectl("wait", "--for=condition=complete", "--timeout=180s", "job/by-hand")
    assert stack.newest().id > before


def test_the_schedule_takes_one_by_itself(stack: BackedUp) -> None:
    """The cluster's own scheduler starts it, and `list` says that it was done."""
    before, name = stack.newest().id, stack.naming.part(BACKUP)
    stack.kubectl("patch", "cronjob", name, "-p", json.dumps({"spec": {"schedule": "* * * * *"}}))
    try:
        until(lambda: stack.newest().id > before, what="a backup on schedule", deadline_s=_SCHEDULED_S)
        done = lambda: "done 2" in stack.backup("list")["schedules"][BACKUP]  # noqa: E731 - said once
        until(done, what="the CronJob's own word", deadline_s=60)
    finally:
        stack.kubectl("patch", "cronjob", name, "-p", json.dumps({"spec": {"suspend": True}}))


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The option that gives the recovery key."""
    path = tmp_path_factory.mktemp("key") / "recovery.txt"
    path.write_text(f"{KEY}\n")
    return f"file:{path}"


def test_a_drill_on_this_machine_proves_it(stack: BackedUp, key: str) -> None:
    """Only with the recovery key: served and verified by a stack of this machine, of which nothing is left."""
    refused = stack.script("backup", "drill")
    assert (refused.code, "--recovery-key" in refused.text) == (ExitCode.REFUSED, True), refused.text
    result = stack.backup("--recovery-key", key, "drill")
    assert (result["outcome"], result["keys_proved"], result["findings"]) == ("proved", True, [])
    assert stack.backup("list")["backups"][-1]["state"] == "proved"
    assert not (stack.project / ".backend" / stack.name / FOLDER).exists()


def test_a_restore_onto_the_same_cluster_that_was_killed_is_repeated_and_undone(stack: BackedUp, key: str) -> None:
    """No server runs after the kill; the same command goes on, and what was logged since the backup comes back."""
    before, newest = contents_of(stack.call), stack.newest().id
    stack.write_runs("since", 1)
    after, restore = contents_of(stack.call), ("--recovery-key", key, "restore", newest)
    command = stack.start_script("backup", *restore)
    begun = lambda: stack.platform.store.read([JOURNAL])  # noqa: E731 - said once
    until(begun, what="a restore that ended the servers", deadline_s=_RESTORED_S)
    stack.kill(command)
    assert stack.serving_pods() == set()
    stack.backup(*restore)
    assert contents_of(stack.call) == before
    stack.must_up()
    stack.backup("restore", "--undo")
    assert contents_of(stack.call) == after
    stack.must_up()


def test_the_clusters_backup_restored_on_a_machine_is_the_backend(
    stack: BackedUp, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the bucket and the key alone, onto a newer Postgres; the next update is green."""
    s3, administrator, made = stack.cluster.s3, stack.secrets["admin-password"], stack.backup("create")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret_key)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.endpoint)
    machine = LocalStack(tmp_path / "machine", "machine")
    machine.write_settings(access={"mode": "basic"})
    machine.state.path.mkdir(parents=True)
    machine.state.postgres_major.write_text("18\n")
    with contextlib.closing(machine):
        machine.must_up()
        address = ("--destination", f"s3://{BUCKET}/{stack.namespace}", "--of", stack.name)
        done = support.run(machine, "backup", *address, "--recovery-key", key, "restore", made["id"])
        assert done.ok, done.text
        machine.must_up()
        login = (credentials.ADMIN_NAME, administrator)
        call = partial(calls.call, machine.output("trackingUrl"), login=login)
        assert contents_of(call) == contents_of(stack.call)


def test_nothing_that_is_young_is_pruned(stack: BackedUp) -> None:
    """It holds the lock that a Job needs to take one, and names what stays."""
    pruned = stack.backup("prune")
    assert (pruned["deleted"], pruned["contents"]) == ({}, 0)
    assert stack.newest().id in pruned["kept"]


def test_a_database_that_is_away_fails_the_job_and_leaves_no_backup(stack: BackedUp) -> None:
    """The command says why, and the newest backup is the one before."""
    before = stack.newest().id
    database = f"statefulset/{stack.naming.part('database')}"
    stack.kubectl("scale", database, "--replicas=0")
    stack.kubectl("wait", "--for=delete", "--timeout=120s", f"pod/{stack.naming.part('database')}-0")
    try:
        failed = stack.script("backup", "create")
    finally:
        stack.kubectl("scale", database, "--replicas=1")
    assert failed.code == ExitCode.PLATFORM_FAILED, failed.text
    assert "database" in failed.text
    assert stack.newest().id == before
