"""The backend's own objects in S3: two writers lose nothing, a lock holds, and a bucket that is not there is empty."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import boto3
import pytest

from mlflow_backend.aws.store import S3Store
from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.releases import running
from mlflow_backend.releases.journal import Journal
from mlflow_backend.releases.lease import LEASE, is_leased, leased
from mlflow_backend.releases.ledger import Ledger
from mlflow_backend.releases.records import VerifiedRelease
from mlflow_backend.schema import Heads
from tests.components.aws.emulated import emulated_aws
from tests.components.ecs.recorded import Recorded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mypy_boto3_s3 import S3Client

BUCKET = "data"


@pytest.fixture
def s3() -> Iterator[S3Client]:
    """Moto's S3, which honours `If-None-Match` and `If-Match` (the first test says so)."""
    with emulated_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.fixture(params=["", "ml/flow"])
def store(request: pytest.FixtureRequest, s3: S3Client) -> S3Store:
    """A store in the bucket, and one below a prefix of it."""
    return S3Store(s3, bucket=BUCKET, root=request.param)


def test_of_two_creators_one_succeeds(store: S3Store) -> None:
    """The ledger rests on this: a number is taken by exactly one record."""
    assert store.create("_backend/ledger/1", b"first") is True
    assert store.create("_backend/ledger/1", b"second") is False
    assert store.read(["_backend/ledger/1"]) == {"_backend/ledger/1": b"first"}


def test_objects_are_listed_read_replaced_and_moved(store: S3Store, s3: S3Client) -> None:
    """Below its own root only, and one level deep."""
    s3.put_object(Bucket=BUCKET, Key="_backend/ledger.txt", Body=b"beside")
    for key in ("_backend/ledger/1", "_backend/ledger/2", "_backend/ledger/deep/3"):
        store.replace(key, key.encode())
    assert sorted(store.keys("_backend/ledger")) == ["_backend/ledger/1", "_backend/ledger/2"]
    assert store.read(["_backend/ledger/2", "none"]) == {"_backend/ledger/2": b"_backend/ledger/2"}
    store.replace("_backend/ledger/2", b"new")
    store.move("_backend/ledger/2", "_backend/damaged/2")
    assert store.read(["_backend/ledger/2", "_backend/damaged/2"]) == {"_backend/damaged/2": b"new"}
    assert (store.size("_backend/ledger/1"), store.size("none")) == (17, None)
    assert b"".join(store.chunks("_backend/ledger/1")) == b"_backend/ledger/1"


def test_no_bucket_yet_is_an_empty_store(s3: S3Client) -> None:
    """The pin is read before the first resource exists: no bucket, no pin."""
    store = S3Store(s3, bucket="not-there")
    assert store.keys("_backend/ledger") == ()
    assert store.read(["_backend/newest"]) == {}
    assert Ledger(store, by="me").state().pin is None
    with pytest.raises(PlatformFailed, match="not-there") as refused:
        store.replace("x", b"")
    assert refused.value.code == "s3-bucket-gone"


def test_many_keys_come_in_pages(store: S3Store) -> None:
    """S3 lists a thousand at a time."""
    for number in range(1005):
        store.replace(f"_backend/ledger/{number:08d}.json", b"")
    assert len(store.keys("_backend/ledger")) == 1005


def _release(revision: str) -> VerifiedRelease:
    return VerifiedRelease(
        target="ecs", revision=revision, mlflow_version="3.17.2", image_digest="sha256:a",
        heads=Heads(tracking="abc"), settings_hash="h", verification_id=revision, verdict="pass",
    )  # fmt: skip


def test_two_writers_lose_no_record(store: S3Store, s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both append at the same time, their calls interleaved; each record is there afterwards.

    S3 decides on a condition and writes in one step. Moto takes two, and lost a record in one run of many, so that
    here one call at a time is let through to it.
    """
    one_at_a_time, call = threading.Lock(), s3._make_api_call  # type: ignore[attr-defined]

    def alone(*arguments: object) -> object:
        with one_at_a_time:
            return call(*arguments)

    monkeypatch.setattr(s3, "_make_api_call", alone)
    ledgers = [Ledger(store, by=name) for name in ("one", "two")]
    threads = [
        threading.Thread(
            target=lambda ledger=ledger, half=half: [ledger.add_release(_release(f"{half}-{n}")) for n in range(5)]
        )
        for half, ledger in enumerate(ledgers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    contents = ledgers[0].read()
    assert not contents.damage
    found = {record.release.revision for record in contents.releases if record.release}
    assert found == {f"{half}-{n}" for half in (0, 1) for n in range(5)}


def test_a_journal_lives_here_too(store: S3Store) -> None:
    """Begun, found again by whoever comes after a kill, closed."""
    journal = Journal(store, "migration")
    journal.write({"step": 1})
    assert Journal(store, "migration").load() == {"step": 1}
    journal.close()
    assert journal.load() is None


def test_a_lock_keeps_the_other_out_and_is_given_back(store: S3Store) -> None:
    """Also when its holder fails."""
    with store.locked("migration", by="me@here"):
        with pytest.raises(Refused, match="Another command of me@here"), store.locked("migration", by="you"):
            pytest.fail("two hold the lock")
        with store.locked("rollback", by="you"):
            pass
    with pytest.raises(ValueError, match="broken"), store.locked("migration", by="me"):
        raise ValueError("broken")
    with store.locked("migration", by="you"):
        pass


def test_a_killed_holders_lock_ends_by_itself(store: S3Store) -> None:
    """One of those who find it ended takes it, and the late holder does not give away another's."""
    then = datetime.now(UTC) - LEASE - timedelta(minutes=1)
    late = leased(store, "migration", by="late", now=lambda: then)
    late.__enter__()
    assert is_leased(store, "migration", now=lambda: then)
    assert not store.is_locked("migration"), "its lease has ended"
    with store.locked("migration", by="next"):
        late.__exit__(None, None, None)
        with pytest.raises(Refused, match="next"), store.locked("migration", by="third"):
            pytest.fail("the late one gave away a lock that was not its own")


def test_a_lock_of_a_command_that_was_killed_here_is_taken(
    store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, because it surely writes nothing any more; a lock whose holder runs is kept."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with contextlib.ExitStack() as stack:
        with monkeypatch.context() as patched:
            patched.setattr(running.fcntl, "flock", lambda *_: None)
            stack.enter_context(leased(store, "rollback", by="killed"))
        assert not store.is_locked("rollback")
        with store.locked("rollback", by="next"):
            assert store.is_locked("rollback")
        assert list(tmp_path.iterdir()) == []


def test_a_denied_store_is_reported_with_its_place() -> None:
    """A store that could not be read is not taken for empty, because it may hold a pin."""
    recorded = Recorded("s3").answers("ListObjectsV2", "AccessDenied").answers("GetObject", "AccessDenied")
    store = S3Store(recorded.client, bucket=BUCKET)
    with pytest.raises(PlatformFailed, match="s3://data/_backend/ledger: S3 answered AccessDenied"):
        store.keys("_backend/ledger")
    with pytest.raises(PlatformFailed, match="AccessDenied"):
        store.read(["_backend/newest"])
