"""Secret Manager: secrets, their numbered versions, and who may read one."""

from __future__ import annotations

import base64
import datetime as dt
import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.rig.gcp.discovery import Failed

if TYPE_CHECKING:
    from tests.rig.gcp.discovery import Call, Directory
    from tests.rig.gcp.policies import Policies

_PERMISSION: Final = "secretmanager.versions.access"
_NAME: Final = re.compile(r"projects/(?P<project>[^/]+)/secrets/(?P<secret>[^/]+)(/versions/(?P<version>[^/]+))?")


@dataclass(kw_only=True)
class Secret:
    """One secret. A version's value goes when it is destroyed."""

    body: dict[str, Any]
    states: list[str] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)


class Secrets:
    """The secrets of one project, by their short names; a project is named by its ID or its number."""

    def __init__(self, directory: Directory, policies: Policies, *, project: str, number: str) -> None:
        self._policies, self._project, self._number = policies, project, number
        self.kept: dict[str, Secret] = {}
        self._lock = threading.Lock()
        directory.handle(
            "secretmanager.projects.secrets",
            create=self._create, get=self._get, list=self._list, patch=self._patch, delete=self._delete,
            addVersion=self._add, setIamPolicy=self._set_policy, getIamPolicy=self._show_policy,
        )  # fmt: skip
        directory.handle(
            "secretmanager.projects.secrets.versions",
            get=self._version, list=self._versions, access=self._access,
            enable=lambda call: self._turn(call, "ENABLED"), disable=lambda call: self._turn(call, "DISABLED"),
            destroy=lambda call: self._turn(call, "DESTROYED"),
        )  # fmt: skip

    def read(self, name: str, version: str, *, reader: str) -> str:
        """Return a version's value, as Cloud Run reads it for a revision. Raises Failed."""
        full = name if name.startswith("projects/") else f"projects/{self._project}/secrets/{name}"
        return self._value(f"{full}/versions/{version}", reader)[1].decode()

    def _value(self, name: str, reader: str) -> tuple[str, bytes]:
        short, version = self._parts(name)
        resource = self._resource(short)
        if not self._policies.allows(reader, _PERMISSION, resource):
            # The same answer whether it is there or not.
            raise Failed(403, f"Permission '{_PERMISSION}' denied for resource '{name}' (or it may not exist).")
        secret = self._find(short)
        at = self._at(secret, name, version)
        if secret.states[at] != "ENABLED":
            raise Failed(400, f"Secret Version [{name}] is in {secret.states[at]} state.", "FAILED_PRECONDITION")
        return f"{self._numbered(short)}/versions/{at + 1}", secret.values[at]

    def _create(self, call: Call) -> dict[str, Any]:
        short = call.query.get("secretId", "")
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,255}", short):
            raise Failed(400, f"the secret ID {short} is none")
        if "replication" not in call.body:
            raise Failed(400, "a secret has a replication")
        with self._lock:
            if short in self.kept:
                raise Failed(409, f"Secret [{self._numbered(short)}] already exists.", "ALREADY_EXISTS")
            self.kept[short] = Secret(body={**call.body, "createTime": _now()})
        return self._shown(short)

    def _get(self, call: Call) -> dict[str, Any]:
        return self._shown(self._parts(call["name"])[0])

    def _list(self, call: Call) -> dict[str, Any]:
        return {"secrets": [self._shown(short) for short in self.kept], "totalSize": len(self.kept)}

    def _patch(self, call: Call) -> dict[str, Any]:
        short, _ = self._parts(call["name"])
        secret = self._find(short)
        if call.body.get("etag") not in (None, self._shown(short)["etag"]):
            raise Failed(400, "the etag is another one", "FAILED_PRECONDITION")
        for name in call.query.get("updateMask", "").split(","):
            if name not in {"labels", "annotations", "versionAliases", "expireTime", "ttl", "rotation", "topics"}:
                raise Failed(400, f"a secret's {name or 'whole'} cannot be changed")
            secret.body[name] = call.body.get(name, {})
        return self._shown(short)

    def _delete(self, call: Call) -> dict[str, Any]:
        short, _ = self._parts(call["name"])
        self._find(short)
        del self.kept[short]
        self._policies.forget(self._resource(short))
        return {}

    def _add(self, call: Call) -> dict[str, Any]:
        short, _ = self._parts(call["parent"])
        secret = self._find(short)
        with self._lock:
            secret.values.append(base64.b64decode(call.body["payload"]["data"]))
            secret.states.append("ENABLED")
            return self._version_shown(short, len(secret.values) - 1)

    def _version(self, call: Call) -> dict[str, Any]:
        short, version = self._parts(call["name"])
        return self._version_shown(short, self._at(self._find(short), call["name"], version))

    def _versions(self, call: Call) -> dict[str, Any]:
        short, _ = self._parts(call["parent"])
        count = len(self._find(short).values)
        # The newest first (secretmanager.v1, versions.list).
        return {"versions": [self._version_shown(short, at) for at in reversed(range(count))], "totalSize": count}

    def _access(self, call: Call) -> dict[str, Any]:
        name, value = self._value(call["name"], call.caller)
        return {"name": name, "payload": {"data": base64.b64encode(value).decode()}}

    def _turn(self, call: Call, state: str) -> dict[str, Any]:
        short, version = self._parts(call["name"])
        secret = self._find(short)
        at = self._at(secret, call["name"], version)
        if secret.states[at] == "DESTROYED":
            raise Failed(400, f"Secret Version [{call['name']}] is destroyed.", "FAILED_PRECONDITION")
        secret.states[at] = state
        if state == "DESTROYED":
            secret.values[at] = b""
        return self._version_shown(short, at)

    def _set_policy(self, call: Call) -> dict[str, Any]:
        short, _ = self._parts(call["resource"])
        self._find(short)
        return self._policies.set(self._resource(short), call.body.get("policy", {}))

    def _show_policy(self, call: Call) -> dict[str, Any]:
        short, _ = self._parts(call["resource"])
        self._find(short)
        return self._policies.get(self._resource(short))

    def _parts(self, name: str) -> tuple[str, str]:
        matched = _NAME.fullmatch(name)
        if matched is None or matched["project"] not in {self._project, self._number}:
            raise Failed(403, f"Permission denied on resource {name}.")
        return matched["secret"], matched["version"] or ""

    def _find(self, short: str) -> Secret:
        if short not in self.kept:
            raise Failed(404, f"Secret [{self._numbered(short)}] not found.")
        return self.kept[short]

    @staticmethod
    def _at(secret: Secret, name: str, version: str) -> int:
        # The newest version is meant, also if it is disabled (Secret Manager, 'Access a secret version').
        at = len(secret.values) if version == "latest" else int(version) if version.isdigit() else 0
        if not 0 < at <= len(secret.values):
            raise Failed(404, f"Secret Version [{name}] not found.")
        return at - 1

    def _shown(self, short: str) -> dict[str, Any]:
        body = self._find(short).body
        return {**body, "name": self._numbered(short), "etag": f'"{abs(hash(str(body))):x}"'}

    def _version_shown(self, short: str, at: int) -> dict[str, Any]:
        state = self._find(short).states[at]
        return {"name": f"{self._numbered(short)}/versions/{at + 1}", "state": state, "etag": f'"{state}"'}

    def _numbered(self, short: str) -> str:
        return f"projects/{self._number}/secrets/{short}"

    def _resource(self, short: str) -> str:
        return f"projects/{self._project}/secrets/{short}"


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat().replace("+00:00", "Z")
