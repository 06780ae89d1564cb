"""The server's secret: generated once, straight into Secrets Manager, known by its version only."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from mlflow_backend.aws import secrets
from mlflow_backend.aws.connection import Connection
from mlflow_backend.aws.provider import ApiKeysProvider, CacheTokenProvider, ServerSecretsProvider
from mlflow_backend.aws.render.secrets import IN_FORCE
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.ecs.render.tasks import SERVER_SECRETS
from mlflow_backend.server import keys
from tests.components.aws.emulated import emulated_aws
from tests.components.ecs.recorded import Recorded
from tests.components.ecs.services import Time
from tests.rig.aws import labels
from tests.rig.patches import Patches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_secretsmanager import SecretsManagerClient

REGION = "eu-west-1"
SERVER_SOURCE = Path(__file__).resolve().parents[3] / "server" / "src"
PROPS: dict[str, Any] = {
    "connection": {"region": REGION},
    "secret": "mlflow-backend-dev-mlflow-server", "keyArn": "arn:aws:kms:eu-west-1:123456789012:key/x",
    "names": list(SERVER_SECRETS), "recoveryDays": 0, "tags": {"stack": "dev"},
}  # fmt: skip


@pytest.fixture
def manager() -> Iterator[SecretsManagerClient]:
    """Moto's Secrets Manager, which is truthful about versions, and about labels once it is fixed."""
    with Patches() as patches, emulated_aws():
        labels.install(patches)
        yield boto3.client("secretsmanager", region_name=REGION)


def held(manager: SecretsManagerClient, arn: str) -> dict[str, str]:
    """Return the values in force."""
    found: dict[str, str] = json.loads(manager.get_secret_value(SecretId=arn)["SecretString"])
    return found


def test_each_value_is_generated_and_none_is_given_back(manager: SecretsManagerClient) -> None:
    """Nothing of a value is in the outputs, which go into the state in plain."""
    created = ServerSecretsProvider().create(PROPS)
    values = held(manager, created.id)
    assert set(values) == set(SERVER_SECRETS)
    given = {"admin-user", keys.WEBHOOK, keys.VERSION, keys.FORMER}
    drawn = [value for name, value in values.items() if name not in given]
    assert len(set(drawn)) == len(SERVER_SECRETS) - len(given)
    assert all(len(value) == 64 for value in drawn)
    assert keys.problem(values) is None
    assert values["admin-user"] == "admin"
    outputs = json.dumps(created.outs)
    assert not any(value in outputs for value in drawn)
    tags = manager.describe_secret(SecretId=created.id)["Tags"]
    assert tags == [{"Key": "stack", "Value": "dev"}]


def test_a_secret_made_before_there_were_encryption_keys_gets_them_and_keeps_all_else(
    manager: SecretsManagerClient,
) -> None:
    """The next update adds what is missing: a stack that exists is not asked to do anything."""
    old = {**PROPS, "names": [name for name in SERVER_SECRETS if name not in keys.NAMES]}
    created = ServerSecretsProvider().create(old)
    before = held(manager, created.id)
    assert ServerSecretsProvider().diff(created.id, created.outs or {}, PROPS).changes is True
    ServerSecretsProvider().update(created.id, created.outs or {}, PROPS)
    after = held(manager, created.id)
    assert {name: after[name] for name in before} == before
    assert keys.problem(after) is None


def test_encryption_keys_that_somebody_leaves_out_or_replaces_are_not_lost(manager: SecretsManagerClient) -> None:
    """Whoever puts a new password may not know of the keys; whoever puts new keys may not know of the former ones."""
    created = ServerSecretsProvider().create(PROPS)
    first = held(manager, created.id)
    passwords = {name: value for name, value in first.items() if name not in keys.NAMES}
    manager.put_secret_value(SecretId=created.id, SecretString=json.dumps({**passwords, "database-password": "n3w"}))
    updated = ServerSecretsProvider().update(created.id, created.outs or {}, PROPS)
    assert held(manager, created.id) == {**first, "database-password": "n3w"}
    manager.put_secret_value(SecretId=created.id, SecretString=json.dumps({**first, keys.PASSPHRASE: "an0ther"}))
    ServerSecretsProvider().update(created.id, updated.outs or {}, PROPS)
    after = held(manager, created.id)
    assert after[keys.PASSPHRASE] == "an0ther"
    assert json.loads(after[keys.FORMER]) == [{name: first[name] for name in keys.IN_FORCE}]
    assert "an0ther" not in json.dumps(updated.outs)


def test_a_rotation_waits_for_the_update_and_is_drawn_once(manager: SecretsManagerClient) -> None:
    """Tasks read the keys in force until the update takes over; a command that was killed can be run again."""
    created = ServerSecretsProvider().create(PROPS)
    first = held(manager, created.id)
    for _ in range(2):
        secrets.rotate_keys(Connection(REGION), PROPS["secret"])
    waiting = held(manager, created.id)
    assert json.loads(waiting[keys.FORMER]) == [{name: first[name] for name in keys.IN_FORCE}]
    in_force = manager.get_secret_value(SecretId=created.id, VersionStage=IN_FORCE)["SecretString"]
    assert json.loads(in_force) == first
    updated = ServerSecretsProvider().update(created.id, created.outs or {}, PROPS)
    assert held(manager, created.id) == waiting
    assert (updated.outs or {})["version"] != (created.outs or {})["version"]
    with pytest.raises(PlatformFailed, match="another"):
        secrets.rotate_keys(Connection(REGION), "another")


def test_a_second_update_changes_nothing(manager: SecretsManagerClient) -> None:
    """The values are generated once."""
    created = ServerSecretsProvider().create(PROPS)
    before = held(manager, created.id)
    assert ServerSecretsProvider().diff(created.id, created.outs or {}, PROPS).changes is False
    updated = ServerSecretsProvider().update(created.id, created.outs or {}, PROPS)
    assert updated.outs == created.outs
    assert held(manager, created.id) == before


def test_a_rotated_password_is_seen_without_a_refresh(manager: SecretsManagerClient) -> None:
    """Whoever puts a new version makes the next update give it to the database's role and to new tasks."""
    created = ServerSecretsProvider().create(PROPS)
    rotated = {**held(manager, created.id), "database-password": "n3w"}
    version = manager.put_secret_value(SecretId=created.id, SecretString=json.dumps(rotated))["VersionId"]
    assert ServerSecretsProvider().diff(created.id, created.outs or {}, PROPS).changes is True
    updated = ServerSecretsProvider().update(created.id, created.outs or {}, PROPS)
    assert (updated.outs or {})["version"] == version
    assert held(manager, created.id)["database-password"] == "n3w"


def test_tasks_read_a_rotated_password_from_the_update_on(manager: SecretsManagerClient) -> None:
    """Until then one that ECS starts logs in as before: the label that tasks read by is moved by the update alone."""

    def in_force() -> str:
        answer = manager.get_secret_value(SecretId=created.id, VersionStage=IN_FORCE)
        return str(json.loads(answer["SecretString"])["database-password"])

    created = ServerSecretsProvider().create(PROPS)
    before = in_force()
    for password in ("n3w", "newer"):
        rotated = {**held(manager, created.id), "database-password": password}
        manager.put_secret_value(SecretId=created.id, SecretString=json.dumps(rotated))
        assert in_force() == before
    refreshed = ServerSecretsProvider().read(created.id, created.outs or {}).outs or {}
    assert ServerSecretsProvider().diff(created.id, refreshed, PROPS).changes is True, "the refresh hid it"
    updated = ServerSecretsProvider().update(created.id, refreshed, PROPS)
    assert in_force() == "newer"
    assert ServerSecretsProvider().diff(created.id, updated.outs or {}, PROPS).changes is False


@pytest.mark.parametrize(
    ("put", "finding"),
    [
        ("n3w-Password", "no JSON object with the keys database-password, "),
        ('"n3w-Password"', "no JSON object"),
        ('{"database-password": ""}', "database-password is no text, or empty"),
        ('{"database-password": 7310}', "database-password is no text, or empty"),
        ('{"database-password": "n3w\\n"}', "database-password holds a line break"),
        ('{"admin-password": "n3w-Passwört"}', "admin-password holds a character outside ASCII"),
        ('{"admin-user": "n3w:User"}', "admin-user holds a colon"),
        ('{"webhook-key": "n3w"}', "webhook-key is no Fernet key"),
        ('{"kek-version": "n3w"}', "kek-version is no whole number"),
        ('{"former-keys": "n3w"}', "former-keys is no JSON list"),
        ('{"admin-password": "n3w-Passwor"}', "admin-password has less than 12 characters"),
    ],
)
def test_a_version_that_no_server_could_start_with_does_not_come_into_force(
    manager: SecretsManagerClient, put: str, finding: str
) -> None:
    """All revisions read by the label: a bad value would end each server at its next start. No value is shown."""
    created = ServerSecretsProvider().create(PROPS)
    before = manager.get_secret_value(SecretId=created.id, VersionStage=IN_FORCE)["VersionId"]
    manager.put_secret_value(SecretId=created.id, SecretString=put)
    with pytest.raises(PlatformFailed, match=finding) as failed:
        ServerSecretsProvider().update(created.id, created.outs or {}, PROPS)
    assert "n3w" not in str(failed.value)
    assert PROPS["secret"] in str(failed.value)
    assert manager.get_secret_value(SecretId=created.id, VersionStage=IN_FORCE)["VersionId"] == before
    assert ServerSecretsProvider().diff(created.id, created.outs or {}, PROPS).changes is True, "it is forgotten"


def test_a_new_name_gets_a_value_and_the_others_keep_theirs(manager: SecretsManagerClient) -> None:
    """A later version of this project may need one secret more."""
    created = ServerSecretsProvider().create({**PROPS, "names": ["database-password"]})
    before = held(manager, created.id)
    news = {**PROPS, "names": ["database-password", "another"]}
    assert ServerSecretsProvider().diff(created.id, created.outs or {}, news).changes is True
    updated = ServerSecretsProvider().update(created.id, created.outs or {}, news)
    after = held(manager, created.id)
    assert after["database-password"] == before["database-password"]
    assert len(after["another"]) == 64
    assert (updated.outs or {})["version"] != (created.outs or {})["version"]


def test_a_secret_that_is_gone_is_made_anew(manager: SecretsManagerClient) -> None:
    """A refresh sees it, and drops the entry."""
    created = ServerSecretsProvider().create(PROPS)
    assert ServerSecretsProvider().read(created.id, created.outs or {}).id == created.id
    ServerSecretsProvider().delete(created.id, created.outs or {})
    assert ServerSecretsProvider().read(created.id, created.outs or {}).id == ""


def test_a_protected_secret_can_be_brought_back(manager: SecretsManagerClient) -> None:
    """Deleted with a window, it is gone for the state and there for a person."""
    kept = {**PROPS, "recoveryDays": 30}
    created = ServerSecretsProvider().create(kept)
    ServerSecretsProvider().delete(created.id, created.outs or {})
    assert manager.describe_secret(SecretId=created.id)["DeletedDate"]
    assert ServerSecretsProvider().read(created.id, created.outs or {}).id == ""


def test_a_secret_that_is_being_deleted_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Moto answers otherwise here than AWS, whose answer is recorded."""
    recorded = Recorded("secretsmanager").answers("CreateSecret", "InvalidRequestException")
    monkeypatch.setattr(secrets, "client", lambda _: recorded.client)
    time = Time()
    with pytest.raises(PlatformFailed, match="is being deleted"):
        secrets.make(PROPS, "{}", pace=time.pace())
    assert sum(time.pauses) >= 120


def test_a_secret_that_is_deleted_meanwhile_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A forced deletion is asynchronous: `destroy`, then `up` at once, meets its last moments."""
    made = {"ARN": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x-AbCdEf", "VersionId": "v" * 32}
    answers = ["InvalidRequestException", "InvalidRequestException", made]
    recorded = Recorded("secretsmanager").answers("CreateSecret", *answers)
    monkeypatch.setattr(secrets, "client", lambda _: recorded.client)
    time = Time()
    assert secrets.make(PROPS, "{}", pace=time.pace())["VersionId"] == "v" * 32
    assert len(time.pauses) == 2


def test_another_backends_secret_is_not_taken(manager: SecretsManagerClient) -> None:
    """What is there already belongs to somebody."""
    manager.create_secret(Name=PROPS["secret"], SecretString="{}")
    with pytest.raises(PlatformFailed, match="already"):
        ServerSecretsProvider().create(PROPS)


def test_only_place_and_key_replace_a_secret(manager: SecretsManagerClient) -> None:
    """Tags and the recovery window are changed where they are."""
    created = ServerSecretsProvider().create(PROPS)
    olds = created.outs or {}
    assert ServerSecretsProvider().diff(created.id, olds, {**PROPS, "tags": {}}).replaces == []
    renamed = ServerSecretsProvider().diff(created.id, olds, {**PROPS, "secret": "other"})
    assert renamed.replaces == ["secret"]
    assert renamed.delete_before_replace is True


def test_the_cache_token_is_drawn_once() -> None:
    """It is made anew only for a new generation; ElastiCache takes every character of it."""
    first = CacheTokenProvider().create({"generation": 1}).outs or {}
    assert first["value"].isalnum()
    assert 16 <= len(first["value"]) <= 128
    assert CacheTokenProvider().diff("token", first, {"generation": 1}).changes is False
    assert CacheTokenProvider().diff("token", first, {"generation": 2}).replaces == ["generation"]
    assert first["value"] != (CacheTokenProvider().create({"generation": 1}).outs or {})["value"]


def _keys(manager: SecretsManagerClient, source: str, **changed: str) -> dict[str, Any]:
    """Return what the secret with API keys gets."""
    version = manager.describe_secret(SecretId=source)["VersionIdsToStages"]
    return {
        **PROPS,
        "secret": "mlflow-backend-dev-mlflow-api-keys",
        "source": source,
        "sourceVersion": min(version),
        **changed,
    }


def test_the_verifications_key_opens_the_server_and_no_key_is_stored_with_the_hashes(
    manager: SecretsManagerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's own code takes it, and whoever reads the hashes can log in with nothing of it."""
    monkeypatch.syspath_prepend(str(SERVER_SOURCE))
    judge = importlib.import_module("mlflow_backend_server.access.keys")
    source = ServerSecretsProvider().create(PROPS).id
    made = ApiKeysProvider().create(_keys(manager, source))
    text = manager.get_secret_value(SecretId=made.id)["SecretString"]
    key = held(manager, source)["verification-api-key"]
    assert key not in text
    assert key not in json.dumps(made.outs)
    assert judge.match(key, judge.parse(text)).name == "verification"
    assert judge.match("another", judge.parse(text)) is None


def test_keys_of_others_stay_when_the_verifications_is_rotated(manager: SecretsManagerClient) -> None:
    """A person adds keys to the secret; an update replaces its own entry only, and only if it has to."""
    source = ServerSecretsProvider().create(PROPS).id
    props = _keys(manager, source)
    made = ApiKeysProvider().create(props)
    entries = json.loads(manager.get_secret_value(SecretId=made.id)["SecretString"])["keys"]
    theirs = {"name": "team", "scope": "read", "salt": "00" * 16, "sha256": "11" * 32}
    manager.put_secret_value(SecretId=made.id, SecretString=json.dumps({"keys": [*entries, theirs]}))
    assert ApiKeysProvider().diff(made.id, made.outs or {}, props).changes is False
    ApiKeysProvider().update(made.id, made.outs or {}, props)
    assert json.loads(manager.get_secret_value(SecretId=made.id)["SecretString"])["keys"] == [*entries, theirs]
    values = held(manager, source) | {"verification-api-key": "another"}
    manager.put_secret_value(SecretId=source, SecretString=json.dumps(values))
    rotated = {**props, "sourceVersion": "2"}
    assert ApiKeysProvider().diff(made.id, made.outs or {}, rotated).changes is True
    ApiKeysProvider().update(made.id, made.outs or {}, rotated)
    after = json.loads(manager.get_secret_value(SecretId=made.id)["SecretString"])["keys"]
    assert [entry["name"] for entry in after] == ["verification", "team"]
    assert after[0] != entries[0]


def test_a_secret_of_keys_that_is_gone_is_made_anew(manager: SecretsManagerClient) -> None:
    """A refresh drops it."""
    source = ServerSecretsProvider().create(PROPS).id
    made = ApiKeysProvider().create(_keys(manager, source))
    assert ApiKeysProvider().read(made.id, made.outs or {}).id == made.id
    ApiKeysProvider().delete(made.id, made.outs or {})
    assert ApiKeysProvider().read(made.id, made.outs or {}).id == ""
