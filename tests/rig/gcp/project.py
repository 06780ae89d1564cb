"""The project itself: its number, the APIs that are enabled, its networks and their connection to Google's services."""

from __future__ import annotations

import functools
import itertools
import json
import time
import uuid
from typing import TYPE_CHECKING, Any, Final

from tests.rig.gcp.discovery import Failed
from tests.rig.gcp.run.model import now

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.rig.gcp.discovery import Call, Directory
    from tests.rig.gcp.operations import Operations
    from tests.rig.gcp.tokens import Tokens

_SIGNED_S: Final = 12 * 3600
# What compute calls a kind of resource, and the variable of its paths.
_VARIABLES: Final = {"networks": "network", "subnetworks": "subnetwork", "globalAddresses": "address"}


class Project:
    """One project. `granted` are the permissions that its administrator has on it, None for all."""

    def __init__(
        self, directory: Directory, operations: Operations, tokens: Tokens, *, project: str, number: str
    ) -> None:
        self._operations, self._tokens, self._project, self._number = operations, tokens, project, number
        self.enabled: set[str] = set()
        self.granted: frozenset[str] | None = None
        directory.handle("cloudresourcemanager.projects", get=self._get, testIamPermissions=self._test)
        directory.handle(
            "serviceusage.services",
            enable=self._enable, disable=self._disable, get=self._service, batchGet=self._services,
            batchEnable=self._enable_all,
        )  # fmt: skip
        directory.handle("serviceusage.operations", get=operations.get)
        directory.handle("iamcredentials.projects.serviceAccounts", generateIdToken=self._identity, signJwt=self._sign)

    def _get(self, call: Call) -> dict[str, Any]:
        self._same(call["name"])
        return {"name": f"projects/{self._number}", "projectId": self._project, "state": "ACTIVE"}

    def _test(self, call: Call) -> dict[str, Any]:
        self._same(call["resource"])
        asked = call.body.get("permissions", [])
        found = [each for each in asked if self.granted is None or each in self.granted]
        return {"permissions": found} if found else {}

    def _same(self, name: str) -> None:
        if name.split("/")[1] not in {self._project, self._number}:
            raise Failed(403, f"The caller does not have permission on {name}, or it does not exist.")

    def _enable(self, call: Call) -> Any:
        self._same(call["name"])
        self.enabled.add(call["name"].rpartition("/")[2])
        return self._begin({"service": self._service(call)})

    def _enable_all(self, call: Call) -> Any:
        self._same(call["parent"])
        self.enabled |= set(call.body.get("serviceIds", []))
        return self._begin({})

    def _disable(self, call: Call) -> Any:
        self._same(call["name"])
        self.enabled.discard(call["name"].rpartition("/")[2])
        return self._begin({"service": self._service(call)})

    def _begin(self, answer: dict[str, Any]) -> Any:
        return self._operations.begin("", lambda: answer)

    def _service(self, call: Call) -> dict[str, Any]:
        self._same(call["name"])
        short = call["name"].rpartition("/")[2]
        state = "ENABLED" if short in self.enabled else "DISABLED"
        config = {"name": short}
        return {"name": f"projects/{self._number}/services/{short}", "config": config, "state": state}

    def _services(self, call: Call) -> dict[str, Any]:
        names = call.query.get("names", [])
        return {"services": [self._service(type(call)(**{**vars(call), "path": {"name": each}})) for each in names]}

    def _identity(self, call: Call) -> dict[str, Any]:
        email = call["name"].rpartition("/")[2]
        return {"token": self._tokens.identity(email, call.body["audience"])}

    def _sign(self, call: Call) -> dict[str, Any]:
        """Sign what may be valid for twelve hours at most (projects.serviceAccounts.signJwt)."""
        claims = json.loads(call.body["payload"])
        if not 0 < claims.get("exp", time.time() + 1) - time.time() <= _SIGNED_S:
            raise Failed(400, "Request contains an invalid argument: exp")
        return {"keyId": "rig", "signedJwt": self._tokens.signed(call["name"].rpartition("/")[2], claims)}


class Networks:
    """Networks, subnets and ranges, by what compute calls them; `connections` are networks with Google's services."""

    def __init__(self, directory: Directory, operations: Operations, *, project: str, number: str) -> None:
        self._google, self._project, self._number = operations, project, number
        self.kept: dict[str, dict[str, Any]] = {}
        self.connections: dict[str, dict[str, Any]] = {}
        self._joined: set[str] = set()
        self._numbers, self._operations = itertools.count(1), dict[str, dict[str, Any]]()
        for kind, variable in _VARIABLES.items():
            handlers: dict[str, Callable[[Call], Any]] = {
                "insert": functools.partial(self._insert, kind),
                "get": functools.partial(self._get, kind, variable),
                "delete": functools.partial(self._delete, kind, variable),
            }
            if kind != "globalAddresses":
                handlers["patch"] = functools.partial(self._patch, kind, variable)
            directory.handle(f"compute.{kind}", **handlers)
        directory.handle("compute.networks", removePeering=self._remove_peering)
        directory.handle("compute.globalOperations", get=self._operation, wait=self._operation)
        directory.handle("compute.regionOperations", get=self._operation, wait=self._operation)
        directory.handle(
            "servicenetworking.services.connections",
            create=self._connect, list=self._connected, patch=self._connect, deleteConnection=self._disconnect,
        )  # fmt: skip
        directory.handle("servicenetworking.operations", get=operations.get)

    def join(self, network: str) -> bool:
        """Give one of Google's services an address in a network, by either of its names; False without a connection."""
        short = network.rpartition("/")[2]
        if short not in self.connections:
            return False
        self._joined.add(short)
        return True

    def _insert(self, kind: str, call: Call) -> dict[str, Any]:
        name = call.body.get("name", "")
        path = _path(kind, call, name)
        if path in self.kept:
            raise Failed(409, f"The resource '{path}' already exists", "ALREADY_EXISTS")
        if kind == "networks" and call.body.get("autoCreateSubnetworks", True):
            raise Failed(501, "the rig has networks in custom mode only")
        if "network" in call.body:
            self._find(_plain(call.body["network"]))
        link = f"https://www.googleapis.com/compute/v1/{path}"
        own = {"id": str(next(self._numbers)), "selfLink": link, "creationTimestamp": now()}
        drawn = {"address": "10.64.0.0", "status": "RESERVED"} if kind == "globalAddresses" else {}
        self.kept[path] = {**call.body, **drawn, **own}
        if "network" in call.body:
            self.kept[path]["network"] = f"https://www.googleapis.com/compute/v1/{_plain(call.body['network'])}"
        return self._done(call, "insert", link)

    def _get(self, kind: str, variable: str, call: Call) -> dict[str, Any]:
        return self._find(_path(kind, call, call[variable]))

    def _patch(self, kind: str, variable: str, call: Call) -> dict[str, Any]:
        path = _path(kind, call, call[variable])
        self._find(path).update(call.body)
        return self._done(call, "patch", self.kept[path]["selfLink"])

    def _delete(self, kind: str, variable: str, call: Call) -> dict[str, Any]:
        path = _path(kind, call, call[variable])
        link = self._find(path)["selfLink"]
        used = [each["name"] for each in self.kept.values() if each.get("network") == link]
        if used or (path.partition("/global/networks/")[2] in self.connections):
            raise Failed(400, f"The network resource '{path}' is already being used by {', '.join(used)}")
        del self.kept[path]
        return self._done(call, "delete", link)

    def _find(self, path: str) -> dict[str, Any]:
        if path not in self.kept:
            raise Failed(404, f"The resource '{path}' was not found")
        return self.kept[path]

    def _done(self, call: Call, kind: str, link: str) -> dict[str, Any]:
        name = f"operation-{uuid.uuid4()}"
        self._operations[name] = {
            "kind": "compute#operation", "name": name, "status": "DONE", "operationType": kind, "targetLink": link,
            "progress": 100, **({"region": call["region"]} if "region" in call.path else {}),
        }  # fmt: skip
        return {**self._operations[name], "status": "RUNNING", "progress": 0}

    def _operation(self, call: Call) -> dict[str, Any]:
        if call["operation"] not in self._operations:
            raise Failed(404, f"The resource {call['operation']} was not found")
        return self._operations[call["operation"]]

    def _connect(self, call: Call) -> Any:
        network = self._find(_plain(call.body["network"]))["name"]
        for name in call.body.get("reservedPeeringRanges", []):
            if not any(each["name"] == name and each.get("purpose") == "VPC_PEERING" for each in self.kept.values()):
                raise Failed(400, f"Allocated range '{name}' not found in network.", "FAILED_PRECONDITION")
        made = {
            "network": f"projects/{self._number}/global/networks/{network}",
            "reservedPeeringRanges": call.body.get("reservedPeeringRanges", []),
            "service": "services/servicenetworking.googleapis.com", "peering": "servicenetworking-googleapis-com",
        }  # fmt: skip
        self.connections[network] = made
        return self._begin(made)

    def _connected(self, call: Call) -> dict[str, Any]:
        asked = call.query.get("network", "").rpartition("/")[2]
        return {"connections": [each for name, each in self.connections.items() if asked in ("", name)]}

    def _disconnect(self, call: Call) -> Any:
        network = call.body["consumerNetwork"].rpartition("/")[2]
        if network not in self.connections:
            raise Failed(404, f"there is no connection of {network}")

        def work() -> dict[str, Any]:
            if network in self._joined:
                # Also if the instance is deleted by now: it is kept for days, for who wants it back.
                message = "Failed to delete connection; Producer services (e.g. CloudSQL, Cloud Memstore, etc.) are "
                raise Failed(400, f"{message}still using this connection.", "FAILED_PRECONDITION")
            del self.connections[network]
            return {}

        return self._google.begin("", work)

    def _remove_peering(self, call: Call) -> dict[str, Any]:
        link = self._find(_path("networks", call, call["network"]))["selfLink"]
        if self.connections.pop(call["network"], None) is None:
            raise Failed(400, f"There is no peering named {call.body.get('name')}")
        self._joined.discard(call["network"])
        return self._done(call, "removePeering", link)

    def _begin(self, answer: dict[str, Any]) -> Any:
        return self._google.begin("", lambda: answer)


def _path(kind: str, call: Call, name: str) -> str:
    place = f"regions/{call['region']}" if "region" in call.path else "global"
    return f"projects/{call['project']}/{place}/{'addresses' if kind == 'globalAddresses' else kind}/{name}"


def _plain(link: str) -> str:
    return f"projects/{link.partition('projects/')[2]}"
