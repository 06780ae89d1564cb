"""Cloud SQL and Memorystore: a real Postgres and a real Valkey for each instance, at a private address with TLS.

Both lie in a network that has a connection to Google's services, as private addresses need one.
"""

from __future__ import annotations

import secrets
import threading
import uuid
from typing import TYPE_CHECKING, Any, Final

from tests.rig.gcp.discovery import Failed
from tests.rig.gcp.run.model import now
from tests.rig.postgres import Postgres
from tests.rig.valkey import Valkey

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.rig.authority import Authority
    from tests.rig.gcp.discovery import Call, Directory
    from tests.rig.gcp.operations import Operations
    from tests.rig.loopback import Block

_POSTGRES_PORT: Final = 5432
# redis.v1, Instance.port: what an instance with TLS answers at is drawn by Google; this is the one that its pages show.
_REDIS_PORT: Final = 6378
_FLAGS: Final = {"max_connections", "idle_in_transaction_session_timeout", "log_min_duration_statement"}


class Databases:
    """Cloud SQL's instances, by name. Only the user postgres is made by the service, and only with a password."""

    def __init__(
        self,
        directory: Directory,
        block: Block,
        authority: Authority,
        folder: Path,
        *,
        join: Callable[[str], bool],
    ) -> None:
        self._block, self._authority, self._folder, self._join = block, authority, folder, join
        self.kept: dict[str, dict[str, Any]] = {}
        self.running: dict[str, Postgres] = {}
        self._operations: dict[str, dict[str, Any]] = {}
        self._lock, self._made = threading.Lock(), 0
        directory.handle(
            "sql.instances",
            insert=self._insert, get=lambda call: self._find(call["instance"]), patch=self._patch,
            delete=self._delete, list=lambda _: {"items": list(self.kept.values())},
        )  # fmt: skip
        directory.handle("sql.users", update=self._password, list=self._users)
        directory.handle("sql.operations", get=self._operation)

    def close(self) -> None:
        """Stop every engine."""
        for each in self.running.values():
            each.stop()

    def _insert(self, call: Call) -> dict[str, Any]:
        body, name = call.body, call.body.get("name", "")
        wanted = body.get("settings", {})
        address = wanted.get("ipConfiguration", {})
        if not body.get("databaseVersion", "").startswith("POSTGRES_"):
            raise Failed(501, "the rig runs Postgres only")
        if address.get("ipv4Enabled", True) or not address.get("privateNetwork"):
            raise Failed(501, "the rig has private addresses only")
        if not self._join(address["privateNetwork"]):
            raise Failed(
                400, f"Failed to create subnetwork. Couldn't find the connection of {address['privateNetwork']}."
            )
        with self._lock:
            if name in self.kept:
                raise Failed(409, "The Cloud SQL instance already exists.", "ALREADY_EXISTS")
            self._made += 1
            engine = self.running[name] = Postgres(
                self._folder / f"{name}-{self._made}",
                self._authority,
                address=self._block.address(),
                port=_POSTGRES_PORT,
                master="postgres",
                password=secrets.token_urlsafe(16),
                database=None,
                parameters=_flags(wanted),
                service="cloudsql",
            )
        host, ca = engine.address, self._authority.root.read_text()
        self.kept[name] = {
            **body, "kind": "sql#instance", "state": "RUNNABLE", "project": call["project"],
            "connectionName": f"{call['project']}:{body['region']}:{name}", "createTime": now(),
            "ipAddresses": [{"type": "PRIVATE", "ipAddress": host}],
            "serverCaCert": {"kind": "sql#sslCert", "cert": ca, "commonName": "rig", "instance": name},
            "selfLink": f"https://sqladmin.googleapis.com/v1/projects/{call['project']}/instances/{name}",
        }  # fmt: skip
        self.kept[name]["settings"] = {"settingsVersion": "1", **wanted}
        return self._done(call, "CREATE", name)

    def _patch(self, call: Call) -> dict[str, Any]:
        instance = self._find(call["instance"])
        wanted = call.body.get("settings", {})
        before = _flags(instance["settings"])
        version = str(int(instance["settings"]["settingsVersion"]) + 1)
        instance["settings"] = {**instance["settings"], **wanted, "settingsVersion": version}
        if _flags(instance["settings"]) != before:
            self.running[call["instance"]].restart(_flags(instance["settings"]))
        return self._done(call, "UPDATE", call["instance"])

    def _delete(self, call: Call) -> dict[str, Any]:
        if self._find(call["instance"])["settings"].get("deletionProtectionEnabled"):
            raise Failed(400, "The instance is protected. Please disable the deletion protection and try again.")
        del self.kept[call["instance"]]
        self.running.pop(call["instance"]).stop()
        return self._done(call, "DELETE", call["instance"])

    def _password(self, call: Call) -> dict[str, Any]:
        self._find(call["instance"])
        if call.query.get("name") != "postgres" or not call.body.get("password"):
            raise Failed(404, f"the rig has no user {call.query.get('name')}; the database tool makes the others")
        self.running[call["instance"]].change_password(call.body["password"])
        return self._done(call, "UPDATE_USER", call["instance"])

    def _users(self, call: Call) -> dict[str, Any]:
        self._find(call["instance"])
        return {"items": [{"name": "postgres", "instance": call["instance"], "project": call["project"]}]}

    def _find(self, name: str) -> dict[str, Any]:
        if name not in self.kept:
            raise Failed(404, "The Cloud SQL instance does not exist.")
        return self.kept[name]

    def _done(self, call: Call, kind: str, target: str) -> dict[str, Any]:
        name = str(uuid.uuid4())
        self._operations[name] = {
            "kind": "sql#operation", "name": name, "status": "DONE", "operationType": kind, "targetId": target,
            "targetProject": call["project"], "insertTime": now(), "endTime": now(),
        }  # fmt: skip
        return {**self._operations[name], "status": "PENDING"}

    def _operation(self, call: Call) -> dict[str, Any]:
        if call["operation"] not in self._operations:
            raise Failed(404, f"there is no operation {call['operation']}")
        return self._operations[call["operation"]]


class Caches:
    """Memorystore's instances, by their full names."""

    def __init__(
        self,
        directory: Directory,
        operations: Operations,
        block: Block,
        authority: Authority,
        folder: Path,
        *,
        join: Callable[[str], bool],
    ) -> None:
        self._operations, self._block, self._authority, self._folder = operations, block, authority, folder
        self._join = join
        self.kept: dict[str, dict[str, Any]] = {}
        self.running: dict[str, Valkey] = {}
        self._tokens: dict[str, str] = {}
        self._made = 0
        directory.handle(
            "redis.projects.locations.instances",
            create=self._create, get=lambda call: self._find(call["name"]), patch=self._patch, delete=self._delete,
            list=lambda _: {"instances": list(self.kept.values())}, getAuthString=self._auth,
        )  # fmt: skip
        directory.handle("redis.projects.locations.clusters", list=lambda _: {})
        directory.handle("redis.projects.locations.operations", get=operations.get)

    def close(self) -> None:
        """Stop every engine."""
        for each in self.running.values():
            each.stop()

    def _create(self, call: Call) -> Any:
        name = f"{call['parent']}/instances/{call.query.get('instanceId', '')}"
        if name in self.kept:
            raise Failed(409, f"Resource '{name}' already exists", "ALREADY_EXISTS")
        if call.body.get("connectMode") != "PRIVATE_SERVICE_ACCESS" or not call.body.get("authEnabled"):
            raise Failed(501, "the rig has caches with a password by private services access only")
        if not self._join(call.body.get("authorizedNetwork", "")):
            raise Failed(400, "Google private service access is not enabled.", "FAILED_PRECONDITION")
        self._made += 1
        self._tokens[name] = str(uuid.uuid4())
        engine = self.running[name] = Valkey(
            self._folder / f"cache-{self._made}",
            self._authority,
            address=self._block.address(),
            port=_REDIS_PORT,
            token=self._tokens[name],
            tls=call.body.get("transitEncryptionMode") == "SERVER_AUTHENTICATION",
        )
        self.kept[name] = {
            **call.body, "name": name, "host": engine.address, "port": engine.port, "state": "READY",
            "createTime": now(), "currentLocationId": f"{name.split('/')[3]}-b",
            "serverCaCerts": [{"cert": self._authority.root.read_text(), "serialNumber": "1"}],
        }  # fmt: skip
        return self._begin(call["parent"], lambda: self.kept[name])

    def _patch(self, call: Call) -> Any:
        instance = self._find(call["name"])
        for name in call.query.get("updateMask", "").split(","):
            if name not in {"displayName", "labels", "memorySizeGb", "redisConfigs", "display_name"}:
                raise Failed(400, f"the {name} of an instance cannot be changed")
            key = "displayName" if name == "display_name" else name
            instance[key] = call.body.get(key)
        return self._begin(call["name"].partition("/instances/")[0], lambda: instance)

    def _delete(self, call: Call) -> Any:
        self._find(call["name"])
        del self.kept[call["name"]]
        self.running.pop(call["name"]).stop()
        return self._begin(call["name"].partition("/instances/")[0], dict)

    def _auth(self, call: Call) -> dict[str, Any]:
        self._find(call["name"])
        return {"authString": self._tokens[call["name"]]}

    def _begin(self, parent: str, work: Callable[[], Mapping[str, Any]]) -> Any:
        return self._operations.begin(parent, work, kind="google.cloud.redis.v1.Instance")

    def _find(self, name: str) -> dict[str, Any]:
        if name not in self.kept:
            raise Failed(404, f"Resource '{name}' was not found")
        return self.kept[name]


def _flags(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the flags of an instance as Postgres's parameters. Raises Failed for one that the rig does not know."""
    found = {each["name"]: each["value"] for each in settings.get("databaseFlags", [])}
    if unknown := set(found) - _FLAGS:
        raise Failed(501, f"the rig does not know the flags {', '.join(sorted(unknown))}")
    return found
