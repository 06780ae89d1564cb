"""What MLflow stores encrypted, under its defaults and then under a stack's own keys: rows, servers, restarts."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.new_keys import draw
from mlflow_backend.server import keys
from tests.matrices import rows
from tests.server.environments import SOURCE, python
from tests.server.servers import Server
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.server.environments import Tool
    from tests.server.services import Services

WEBHOOKS, SECRETS = "/api/2.0/mlflow/webhooks", "/api/3.0/mlflow/gateway/secrets/create"
VALUE = "sk-the-providers-own-key"
# Read by MLflow's own functions, with the keys of the environment, as a server reads them.
READ_BY_MLFLOW = """
import json, os, sys
import psycopg2
from mlflow.utils.crypto import KEKManager, _decrypt_secret
from mlflow.store.model_registry.dbmodels.models import EncryptedString
connection = psycopg2.connect(os.environ["MLFLOW_BACKEND_STORE_URI"].replace("+psycopg2", ""))
cursor = connection.cursor()
cursor.execute("SELECT encrypted_value, wrapped_dek, secret_id, secret_name FROM secrets ORDER BY secret_name")
manager = KEKManager()
secrets = [_decrypt_secret(bytes(a), bytes(b), manager, c, d) for a, b, c, d in cursor.fetchall()]
cursor.execute("SELECT secret FROM webhooks WHERE secret IS NOT NULL ORDER BY name")
kind = EncryptedString()
webhooks = [kind.process_result_value(row[0], None) for row in cursor.fetchall()]
json.dump({"secrets": secrets, "webhooks": webhooks}, sys.stdout)
"""


def environment(held: dict[str, str]) -> dict[str, str]:
    """Return the variables of a server and of the tool for a stack's keys."""
    named = {**keys.VARIABLES, keys.FORMER_VARIABLE: keys.FORMER}
    return {variable: held[name] for variable, name in named.items()}


def read_by_mlflow(tool: Tool) -> dict[str, list[Any]]:
    """Return what MLflow decrypts with the tool's environment."""
    done = subprocess.run(
        [str(python(tool.version)), "-c", READ_BY_MLFLOW],
        env={**tool.variables(), "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found: dict[str, list[Any]] = json.loads(done.stdout)
    return found


def add_webhook(server: Server, name: str) -> None:
    """Make a webhook with a secret; a public address, as MLflow asks, which nothing calls without an event."""
    event = {"entity": "MODEL_VERSION", "action": "CREATED"}
    document = {"name": name, "url": "https://93.184.216.34/hook", "events": [event], "secret": f"secret of {name}"}
    server.api("POST", WEBHOOKS, document)


def component(server: Server) -> dict[str, Any]:
    """Return what the server says of its keys."""
    found: dict[str, Any] = json.loads(server.get("/health/components").data)["components"]["keys"]
    return found


@pytest.fixture
def make(services: Services, database: str, package: Path, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers of a version on the test's database, with other settings each; all are ended."""
    started: list[Server] = []

    def start(version: str, settings: dict[str, str], *, workers: int = 2) -> Server:
        server = Server(
            version=version,
            services=services,
            database=database,
            package=package,
            folder=tmp_path,
            workers=workers,
            settings=settings,
        )
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.stop()


@pytest.mark.slow
@pytest.mark.parametrize("version", rows(("3.10.1", "3.17.2"), shown=("3.17.2",)))
def test_what_was_written_under_the_defaults_is_served_under_the_stacks_own_keys(
    version: str, make: Callable[..., Server], tool: Callable[..., Tool]
) -> None:
    """A webhook's lost secret no longer breaks the listing, a gateway secret is read, and both survive a restart."""
    # As if unset, for MLflow: it takes its defaults for what is empty, and 1 for a version that is not named.
    defaults = {**dict.fromkeys(keys.VARIABLES, ""), "MLFLOW_CRYPTO_KEK_VERSION": "1"}
    before = make(version, defaults, workers=1)
    add_webhook(before, "lost")
    before.api("POST", SECRETS, {"secret_name": "provider", "secret_value": {"api_key": VALUE}, "provider": "openai"})
    until(lambda: component(before)["state"] == "failed", what="the public defaults to be said")
    assert VALUE not in str(component(before))
    before.stop()

    held = draw()
    plain = tool(version, **environment(held))
    first, again = plain.run("reencrypt"), plain.run("reencrypt")
    assert first.report["secrets"] == {"unchanged": 0, "reencrypted": 1, "lost": []}
    assert (first.report["webhooks"]["reencrypted"], len(first.report["webhooks"]["lost"])) == (0, 1)
    assert "lost" in first.report["webhooks"]["lost"][0]
    assert again.report["secrets"] == {"unchanged": 1, "reencrypted": 0, "lost": []}
    assert again.report["webhooks"] == {"unchanged": 0, "reencrypted": 0, "lost": []}

    after = make(version, environment(held))
    add_webhook(after, "new")
    for server in (after, make(version, environment(held))):
        for _ in range(10):
            listed = server.api("GET", f"{WEBHOOKS}?max_results=10")["webhooks"]
            assert {each["name"]: each["status"] for each in listed} == {"lost": "DISABLED", "new": "ACTIVE"}
        until(lambda server=server: component(server)["state"] == "ok", what="the keys to be in order")
    assert read_by_mlflow(plain) == {"secrets": [{"api_key": VALUE}], "webhooks": ["secret of new"]}


def write_rows(make_tool: Callable[..., Tool], held: dict[str, str]) -> None:
    """Write a webhook and a gateway secret by MLflow's own functions, without a server."""
    code = """
import os, psycopg2
from mlflow.utils.crypto import KEKManager, _encrypt_secret
from mlflow.store.model_registry.dbmodels.models import EncryptedString
connection = psycopg2.connect(os.environ["MLFLOW_BACKEND_STORE_URI"].replace("+psycopg2", ""))
cursor = connection.cursor()
made = _encrypt_secret({"api_key": "@@"}, KEKManager(), "the-id", "provider")
cursor.execute("INSERT INTO secrets (secret_id, secret_name, encrypted_value, wrapped_dek, kek_version, masked_value,"
    " created_at, last_updated_at) VALUES ('the-id', 'provider', %s, %s, %s, '{}', 0, 0)",
    (made.encrypted_value, made.wrapped_dek, made.kek_version))
cursor.execute("INSERT INTO webhooks (webhook_id, name, url, status, secret, workspace)"
    " VALUES ('w', 'hook', 'https://x', 'ACTIVE', %s, 'default')",
    (EncryptedString().process_bind_param("signed", None),))
connection.commit()
"""
    plain = make_tool("3.17.2", **environment(held))
    subprocess.run(
        [str(python("3.17.2")), "-c", code.replace("@@", VALUE)], env=plain.variables(), check=True, timeout=120
    )


def test_a_rotation_can_be_killed_and_run_again_and_a_dump_is_restored_under_later_keys(
    services: Services, database: str, tool: Callable[..., Tool]
) -> None:
    """All rows or none are under the new keys; what a restored dump holds is put under the keys in force."""
    held = draw()
    old = tool("3.17.2", **environment(held))
    assert old.run("upgrade").code == 0
    write_rows(tool, held)
    whole = {"secrets": [{"api_key": VALUE}], "webhooks": ["signed"]}
    assert read_by_mlflow(old) == whole
    dumped = old.run("dump", "--to", f"s3://mlflow/{database}")
    assert dumped.code == 0

    rotated = keys.rotated(held, draw())
    new = tool("3.17.2", **environment(rotated))
    # A row that nobody may write makes the transaction fail after the webhook's was written.
    services.postgres.execute(
        database,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;"
        "CREATE TRIGGER refuse BEFORE UPDATE ON secrets FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    assert new.run("reencrypt").code == 1
    assert read_by_mlflow(old) == whole
    services.postgres.execute(database, "DROP TRIGGER refuse ON secrets; DROP FUNCTION refuse")
    assert new.run("reencrypt").report["webhooks"] == {"unchanged": 0, "reencrypted": 1, "lost": []}
    assert read_by_mlflow(new) == whole

    assert new.run("restore", "--from", dumped.report["address"]).code == 0
    assert read_by_mlflow(new) == whole


def test_without_keys_nothing_is_touched_and_a_secret_that_none_can_read_is_named(
    services: Services, database: str, tool: Callable[..., Tool]
) -> None:
    """A gateway secret of a lost key harms no other and may be of a copy that is found again: it stays."""
    held = draw()
    assert tool("3.17.2").run("upgrade").code == 0
    write_rows(tool, held)
    without = tool("3.17.2").run("reencrypt")
    assert (without.code, "error" in without.report) == (2, True)
    assert read_by_mlflow(tool("3.17.2", **environment(held)))["webhooks"] == ["signed"]

    other = tool("3.17.2", **environment(draw())).run("reencrypt")
    assert other.report["secrets"] == {"unchanged": 0, "reencrypted": 0, "lost": ["provider (the-id)"]}
    assert other.report["webhooks"]["lost"] == ["hook (w)"]
    assert not any(value in other.words for value in (VALUE, *held.values()))
    assert services.postgres.execute(database, "SELECT secret, status FROM webhooks") == [(None, "DISABLED")]
    (found,) = services.postgres.execute(database, "SELECT kek_version FROM secrets")
    assert found == (int(held[keys.VERSION]),)


def test_a_database_of_a_version_that_encrypts_nothing_has_nothing_to_do(tool: Callable[..., Tool]) -> None:
    """Every supported version has the command, whatever tables it has."""
    plain = replace(tool("2.9.2"), environment={**tool("2.9.2").environment, **environment(draw())})
    assert plain.run("upgrade").code == 0
    nothing = {"unchanged": 0, "reencrypted": 0, "lost": []}
    done = plain.run("reencrypt")
    assert (done.code, done.report["webhooks"], done.report["secrets"]) == (0, nothing, nothing)
