"""Generated secrets of a local stack."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.backup.bundle import FILE
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.local import api_keys, credentials, encryption
from mlflow_backend.local.state import StateDir, write
from mlflow_backend.verify.credentials import resolve

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    """A stack's folder with its credentials."""
    made = StateDir(tmp_path / "stack")
    credentials.ensure(made)
    return made


def test_what_exists_is_kept(state: StateDir) -> None:
    """A second `ensure` rotates nothing: databases hold the first password."""
    before = {path.name: path.read_text() for path in state.credentials.iterdir()}
    assert credentials.ensure(state) == credentials.versions(state)
    assert {path.name: path.read_text() for path in state.credentials.iterdir()} == before


def test_every_file_is_private_and_every_value_its_own(state: StateDir) -> None:
    """Mode 600, and no two secrets are the same."""
    assert {path.stat().st_mode & 0o777 for path in state.credentials.iterdir()} == {0o600}
    values = [credentials.read(state, name) for name in credentials.GENERATED]
    assert len(set(values)) == len(values)
    assert min(map(len, values)) >= 32


def test_a_version_changes_with_the_value_and_does_not_show_it(state: StateDir) -> None:
    """The state may hold versions: they follow the value, and differ between stacks of the same value."""
    before = credentials.versions(state)
    write(state.credentials / credentials.CACHE, "another")
    after = credentials.versions(state)
    assert after[credentials.CACHE] != before[credentials.CACHE]
    assert {k: v for k, v in after.items() if k != credentials.CACHE} == {
        k: v for k, v in before.items() if k != credentials.CACHE
    }
    other = StateDir(state.path.parent / "other")
    credentials.ensure(other)
    write(other.credentials / credentials.CACHE, "another")
    assert credentials.versions(other)[credentials.CACHE] != after[credentials.CACHE]


@pytest.mark.parametrize(
    ("name", "put", "finding"),
    [
        (credentials.ADMIN, b"n3w-Passwor", "less than 12 characters"),
        (credentials.DATABASE, b"n3w-\nPassword", "line break"),
        (credentials.CACHE, b"n3w-Passw\xffrd", "control character"),
    ],
)
def test_a_value_that_no_server_could_start_with_is_refused(
    state: StateDir, name: str, put: bytes, finding: str
) -> None:
    """Before a part is given it: the file and the finding are named, the value is not, and it stays a change."""
    before = credentials.versions(state)
    (state.credentials / name).write_bytes(put)
    assert credentials.versions(state) != before
    with pytest.raises(PlatformFailed, match=finding) as failed:
        credentials.ensure(state)
    assert str(state.credentials / name) in str(failed.value)
    assert "n3w" not in str(failed.value)


def test_the_store_never_has_an_empty_list_of_keys(state: StateDir) -> None:
    """Without the server's key the operator's is left: an S3 server without any key would serve everybody."""
    server = credentials.read(state, credentials.STORE_ACCESS)
    assert server in credentials.read(state, credentials.STORE_ACCEPTED)
    credentials.accept_store_keys(state, server=False)
    left = credentials.read(state, credentials.STORE_ACCEPTED)
    assert server not in left
    assert credentials.read(state, credentials.STORE_OPERATOR_ACCESS) in left


def test_redaction_replaces_each_secret_by_its_name(state: StateDir) -> None:
    """Log lines are shown in error messages: what stands in them is a name."""
    secret = credentials.read(state, credentials.DATABASE)
    shown = credentials.redact(state, f"postgresql://mlflow:{secret}@host")
    assert secret not in shown
    assert "<database-password>" in shown


def test_a_missing_credential_is_named_with_its_fix(state: StateDir) -> None:
    """The message says which file, and what to run."""
    (state.credentials / credentials.CACHE).unlink()
    with pytest.raises(PlatformFailed, match=r"cache-password: .*make up"):
        credentials.read(state, credentials.CACHE)


def test_the_own_key_is_let_in_and_no_file_of_hashes_holds_it(state: StateDir) -> None:
    """The key for verification is in a file of its own; the file that servers read holds its salted hash only."""
    key = credentials.read(state, credentials.API_KEY)
    (entry,) = api_keys.entries(state)
    assert (entry["name"], entry["scope"]) == (api_keys.OWN, "write")
    assert hashlib.sha256(bytes.fromhex(entry["salt"]) + key.encode()).hexdigest() == entry["sha256"]
    assert key not in (state.credentials / credentials.API_KEYS).read_text()


def test_keys_are_added_rotated_and_revoked_one_by_one(state: StateDir) -> None:
    """Several are valid at once; whoever revokes or rotates one leaves the others as they are."""
    path = api_keys.add(state, "trainer", "read")
    assert path.stat().st_mode & 0o777 == 0o600
    own, trainer = api_keys.entries(state)
    with pytest.raises(PlatformFailed, match="there is one of that name"):
        api_keys.add(state, "trainer", "write")
    (state.credentials / credentials.API_KEY).unlink()
    before = credentials.versions(state)
    assert credentials.ensure(state) != before
    rotated, kept = api_keys.entries(state)
    assert rotated["sha256"] != own["sha256"]
    assert kept == trainer
    api_keys.revoke(state, "trainer")
    assert api_keys.entries(state) == [rotated]
    assert not path.exists()
    for name, finding in (("trainer", "none of that name"), (api_keys.OWN, "verification uses it")):
        with pytest.raises(PlatformFailed, match=finding):
            api_keys.revoke(state, name)


def test_a_name_that_cannot_be_a_keys_is_refused(state: StateDir) -> None:
    """A name reaches logs and file names: no path is one."""
    with pytest.raises(PlatformFailed, match="letters, digits"):
        api_keys.add(state, "../admin", "read")


@pytest.mark.parametrize(
    ("mode", "keys"), [("none", set()), ("basic", {"username", "password"}), ("token", {"apiKey"})]
)
def test_references_resolve_to_the_users_kind_of_credentials(state: StateDir, mode: str, keys: set[str]) -> None:
    """Verification logs in as users do; what it gets holds no value."""
    references = credentials.references(state, mode)
    assert set(references) == keys
    assert bool(resolve(references).headers) is (mode != "none")
    assert not any(credentials.read(state, name) in str(references) for name in credentials.GENERATED)


def test_lost_encryption_keys_are_not_made_anew(tmp_path: Path) -> None:
    """What is encrypted with them would be lost without a word; a person says that they are given up."""
    lost = StateDir(tmp_path / "lost")
    encryption.ensure(lost)
    before, path = encryption.values(lost), lost.credentials / FILE
    content = path.read_text()
    path.unlink()
    with pytest.raises(PlatformFailed) as refused:
        encryption.ensure(lost)
    assert refused.value.code == "encryption-keys-unreadable"
    assert not path.exists()
    path.write_text(content)
    encryption.rotate(lost)
    waiting = path.read_text()
    encryption.rotate(lost)
    assert path.read_text() == waiting
    encryption.ensure(lost)
    assert encryption.values(lost) != before
    path.write_text(content)
    with pytest.raises(PlatformFailed) as older:
        encryption.ensure(lost)
    assert older.value.code == "encryption-keys-lost"
    path.write_text(waiting)
    encryption.ensure(lost)
