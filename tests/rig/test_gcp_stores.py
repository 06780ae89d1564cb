"""The rig's database, cache, bucket, secrets and registry: real engines behind the APIs, asked by real clients."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
import redis
import urllib3

from mlflow_backend.gcp.naming import Naming
from mlflow_backend.gcp.render import identity
from mlflow_backend.gcp.root import GcsRoot
from tests.rig import contents
from tests.rig.clock import TINY
from tests.rig.gcp import team
from tests.rig.gcp.discovery import Failed
from tests.rig.gcp.rig import NUMBER, PROJECT, REGION, GcpRig
from tests.server.environments import python
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_DEADLINE_S = 120
NETWORK = f"projects/{PROJECT}/global/networks/n"
NAMING = Naming(stack_project="shop", stack="gcp", project=PROJECT, number=NUMBER, region=REGION)
# Google's own client, which speaks to the rig by its real names and nothing else.
CLIENT = """
import json, sys
from google.api_core.exceptions import Forbidden, PreconditionFailed
from google.cloud import storage
bucket = storage.Client().bucket(sys.argv[1])
large = bytes(range(256)) * 4096 * 9
bucket.blob("artifacts/é b").upload_from_string("small", if_generation_match=0)
bucket.blob("artifacts/large").upload_from_string(large)
found = {"names": [each.name for each in bucket.list_blobs(prefix="artifacts/")]}
found["small"] = bucket.blob("artifacts/é b").download_as_text()
found["large"] = bucket.blob("artifacts/large").download_as_bytes() == large
listed = bucket.client.list_blobs(bucket, delimiter="/")
list(listed)
found["folders"] = sorted(listed.prefixes)
try:
    bucket.blob("artifacts/é b").upload_from_string("again", if_generation_match=0)
except PreconditionFailed:
    found["again"] = "refused"
bucket.blob("artifacts/large").delete()
found["left"] = [each.name for each in bucket.list_blobs()]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def gcp(containers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GcpRig]:
    """Emulated Google Cloud, with a network that Google's services are connected to."""
    with GcpRig(tmp_path_factory.mktemp("gcp"), TINY) as made:
        assert team.network(made, "n") == NETWORK
        yield made


def refused(call: Callable[[], Any]) -> Failed:
    """Return how a call failed."""
    with pytest.raises(Failed) as caught:
        call()
    return caught.value


def bucket(gcp: GcpRig, name: str) -> str:
    """Make a bucket."""
    gcp.call("POST", "storage/v1/b", {"name": name}, api="storage.v1", project=PROJECT)
    return name


def test_the_database_is_a_real_one_with_a_certificate_of_its_own(gcp: GcpRig) -> None:
    """Private address, TLS by its own authority, a user whose password the API sets, and flags that are in force."""
    wanted = {
        "ipConfiguration": {"ipv4Enabled": False, "privateNetwork": NETWORK},
        "databaseFlags": [{"name": "max_connections", "value": "77"}],
        "deletionProtectionEnabled": True,
    }
    body = {"name": "d", "region": REGION, "databaseVersion": "POSTGRES_17", "settings": wanted}
    path = f"v1/projects/{PROJECT}/instances"
    other = {**wanted, "ipConfiguration": {"ipv4Enabled": False, "privateNetwork": f"{NETWORK}-other"}}
    assert refused(lambda: gcp.call("POST", path, {**body, "settings": other}, api="sqladmin.v1")).code == 400
    gcp.call("POST", path, body, api="sqladmin.v1")
    gcp.call("PUT", f"{path}/d/users", {"password": "right"}, api="sqladmin.v1", name="postgres")
    found = gcp.call("GET", f"{path}/d", api="sqladmin.v1")
    ca = gcp.authority.root
    assert found["serverCaCert"]["cert"] == ca.read_text()
    host = found["ipAddresses"][0]["ipAddress"]

    def login(password: str) -> Any:
        return psycopg2.connect(
            host=host, user="postgres", password=password, dbname="postgres", sslmode="verify-ca", sslrootcert=str(ca)
        )

    connection = login("right")
    with connection, connection.cursor() as cursor:
        cursor.execute("SHOW max_connections")
        assert cursor.fetchone() == ("77",)
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        assert cursor.fetchone() == (False,)
    connection.close()
    with pytest.raises(psycopg2.OperationalError):
        login("wrong")
    assert refused(lambda: gcp.call("DELETE", f"{path}/d", api="sqladmin.v1")).code == 400
    gcp.call("PATCH", f"{path}/d", {"settings": {"deletionProtectionEnabled": False}}, api="sqladmin.v1")
    gcp.call("DELETE", f"{path}/d", api="sqladmin.v1")
    with pytest.raises(psycopg2.OperationalError):
        login("right")


def test_the_cache_is_a_real_one_behind_tls(gcp: GcpRig) -> None:
    """Whoever has no password is not let in."""
    parent = f"v1/projects/{PROJECT}/locations/{REGION}"
    body = {
        "tier": "BASIC", "memorySizeGb": 1, "authorizedNetwork": NETWORK, "connectMode": "PRIVATE_SERVICE_ACCESS",
        "authEnabled": True, "transitEncryptionMode": "SERVER_AUTHENTICATION",
    }  # fmt: skip
    made = gcp.call("POST", f"{parent}/instances", body, api="redis.v1", instanceId="c")
    until(lambda: gcp.call("GET", f"v1/{made['name']}", api="redis.v1")["done"], what="the cache", deadline_s=60)
    found = gcp.call("GET", f"{parent}/instances/c", api="redis.v1")
    token = gcp.call("GET", f"{parent}/instances/c/authString", api="redis.v1")["authString"]
    named = {"host": found["host"], "port": found["port"], "ssl": True, "ssl_ca_certs": str(gcp.authority.root)}
    with redis.Redis(**named, password=token) as client:
        assert client.ping()
    with redis.Redis(**named) as client, pytest.raises(redis.AuthenticationError):
        client.ping()
    gcp.call("DELETE", f"{parent}/instances/c", api="redis.v1")


def test_google_s_own_client_keeps_objects(gcp: GcpRig, tmp_path: Path) -> None:
    """By its real names, the key of an account, uploads in one and in pieces, lists and conditions."""
    command = gcp.command(str(python("3.17.2")), "-c", CLIENT, bucket(gcp, "team-client"))
    environment = {**gcp.environment, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=_DEADLINE_S, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "names": ["artifacts/large", "artifacts/é b"], "small": "small", "large": True, "folders": ["artifacts/"],
        "again": "refused", "left": ["artifacts/é b"],
    }  # fmt: skip


def test_an_account_has_what_its_bindings_say(gcp: GcpRig) -> None:
    """The product's own grants, conditions and all: artifacts, and not the ledger beside them."""
    name = bucket(gcp, "team-grants")
    server = NAMING.email(identity.SERVER)
    bindings = [
        each.binding(NAMING) for each in identity.grants(GcsRoot(bucket=name), {}) if each.account == identity.SERVER
    ]
    gcp.call("PUT", f"storage/v1/b/{name}/iam", {"version": 3, "bindings": bindings}, api="storage.v1")

    def put(who: str, key: str) -> int:
        url = f"{gcp.root('storage.v1')}upload/storage/v1/b/{name}/o?uploadType=media&name={key}"
        headers = {"Authorization": f"Bearer {gcp.tokens.access(who)}"}
        return urllib3.request("POST", url, body=b"1", headers=headers, retries=False).status

    def listed(who: str, prefix: str) -> int:
        try:
            gcp.call("GET", f"storage/v1/b/{name}/o", api="storage.v1", who=who, prefix=prefix)
        except Failed as failed:
            return failed.code
        return 200

    assert (put(server, "artifacts/1/model"), listed(server, "artifacts/1/")) == (200, 200)
    assert (put(server, "_backend/ledger/1"), listed(server, "_backend/"), listed(server, "")) == (403, 403, 403)
    assert (put("nobody@example.com", "artifacts/x"), listed("nobody@example.com", "artifacts/")) == (403, 403)
    wrong = {**bindings[0], "condition": {"title": "t", "expression": "request.time < x"}}
    body = {"version": 3, "bindings": [wrong]}
    assert refused(lambda: gcp.call("PUT", f"storage/v1/b/{name}/iam", body, api="storage.v1")).code == 400


def test_a_version_of_a_secret_is_what_it_was(gcp: GcpRig) -> None:
    """Another version changes none before it; what is disabled or destroyed is not read."""
    root = f"v1/projects/{PROJECT}/secrets"
    body: dict[str, Any] = {"replication": {"automatic": {}}}
    gcp.call("POST", root, body, api="secretmanager.v1", secretId="versions")
    for data in ("b25l", "dHdv"):
        gcp.call("POST", f"{root}/versions:addVersion", {"payload": {"data": data}}, api="secretmanager.v1")

    def read(version: str) -> Any:
        return gcp.call("GET", f"{root}/versions/versions/{version}:access", api="secretmanager.v1")["payload"]["data"]

    assert (read("1"), read("2"), read("latest")) == ("b25l", "dHdv", "dHdv")
    gcp.call("POST", f"{root}/versions/versions/2:disable", {}, api="secretmanager.v1")
    assert refused(lambda: read("latest")).code == 400
    gcp.call("POST", f"{root}/versions/versions/1:destroy", {}, api="secretmanager.v1")
    assert refused(lambda: read("1")).code == 400
    assert refused(lambda: read("3")).code == 404
    assert refused(lambda: gcp.call("POST", root, body, api="secretmanager.v1", secretId="versions")).code == 409


def test_an_image_is_read_by_whoever_has_a_token(gcp: GcpRig) -> None:
    """Manifest and configuration, each by its digest, at the registry's own name."""
    name = gcp.registry.publish("one", contents.small(), labels={"a": "b"})
    host, _, rest = name.partition("/")
    repository, _, digest = rest.partition("@")

    def get(path: str, **headers: str) -> Any:
        pool = urllib3.HTTPSConnectionPool(
            gcp.address, ca_certs=str(gcp.authority.bundle), server_hostname=host, assert_hostname=host
        )
        with pool:
            return pool.request("GET", f"/v2/{repository}/{path}", headers={"Host": host, **headers}, retries=False)

    login = {"Authorization": f"Bearer {gcp.tokens.access('somebody@example.com')}"}
    assert "Bearer realm" in get(f"manifests/{digest}").headers["WWW-Authenticate"]
    index = json.loads(get(f"manifests/{digest}", **login).data)
    (entry,) = index["manifests"]
    manifest = json.loads(get(f"manifests/{entry['digest']}", **login).data)
    config = json.loads(get(f"blobs/{manifest['config']['digest']}", **login).data)
    assert config["config"]["Labels"] == {"a": "b"}
    assert get("manifests/nothing", **login).status == 404


def test_nothing_outside_sees_the_rig_s_names(gcp: GcpRig) -> None:
    """A command under test does, and the machine's own file is as it was."""
    script = "import socket; print(socket.gethostbyname('run.googleapis.com'))"
    inside = subprocess.run(
        gcp.command(sys.executable, "-c", script), capture_output=True, text=True, timeout=_DEADLINE_S, check=True
    )
    assert inside.stdout.strip() == gcp.address
    outside = subprocess.run(
        ["grep", "-c", "googleapis", "/etc/hosts"], capture_output=True, text=True, timeout=_DEADLINE_S, check=False
    )
    assert outside.stdout.strip() == "0"
