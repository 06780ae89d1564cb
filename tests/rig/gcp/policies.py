"""IAM policies on resources: kept with etags, and asked whether somebody may do something.

The administrator may do everything. Others may do what a binding on the resource itself says; its condition is
evaluated as far as the rig knows the expression, and one that it does not know is refused when it is set.
"""

from __future__ import annotations

import ast
import re
import secrets
import threading
from typing import TYPE_CHECKING, Any, Final

from tests.rig.gcp.discovery import Failed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.rig.gcp.discovery import Call

_OBJECTS: Final = frozenset({"storage.objects.get", "storage.objects.list"})
_WRITES: Final = frozenset({"storage.objects.create", "storage.objects.delete", "storage.objects.update"})
PERMISSIONS: Final[Mapping[str, frozenset[str]]] = {
    # 'IAM roles for Cloud Storage', 'Access control with IAM' of Secret Manager, of Cloud Run and of IAP.
    "roles/storage.objectViewer": _OBJECTS,
    "roles/storage.objectCreator": frozenset({"storage.objects.create"}),
    "roles/storage.objectUser": _OBJECTS | _WRITES,
    "roles/storage.objectAdmin": _OBJECTS | _WRITES,
    "roles/secretmanager.secretAccessor": frozenset({"secretmanager.versions.access"}),
    "roles/run.invoker": frozenset({"run.routes.invoke", "run.jobs.run"}),
    "roles/iap.httpsResourceAccessor": frozenset({"iap.webServiceVersions.accessViaIAP"}),
    "roles/iam.serviceAccountUser": frozenset({"iam.serviceAccounts.actAs"}),
    "roles/iam.serviceAccountTokenCreator": frozenset(
        {"iam.serviceAccounts.getOpenIdToken", "iam.serviceAccounts.signJwt"}
    ),
}


class Policies:
    """The policy of each resource, by its full name. `groups` are the members of groups, by their addresses."""

    def __init__(self, administrator: str) -> None:
        self._administrator, self._lock = administrator, threading.Lock()
        self._kept: dict[str, dict[str, Any]] = {}
        self.groups: dict[str, set[str]] = {}

    def get(self, resource: str) -> dict[str, Any]:
        """Return a policy; one that nobody set is empty."""
        return self._kept.get(resource, {"version": 1, "etag": "ACAB", "bindings": []})

    def set(self, resource: str, policy: Mapping[str, Any]) -> dict[str, Any]:
        """Keep a policy. Raises Failed for a wrong etag, an unknown role or an unknown condition."""
        with self._lock:
            if policy.get("etag") not in (None, self.get(resource)["etag"]):
                raise Failed(409, "There were concurrent policy changes. Please retry the whole read-modify-write.")
            for binding in policy.get("bindings", []):
                if binding["role"] not in PERMISSIONS:
                    raise Failed(400, f"the rig does not know {binding['role']}")
                if "condition" in binding:
                    if policy.get("version") != 3:
                        raise Failed(400, "a policy with conditions has version 3")
                    _met(binding["condition"]["expression"], resource="", attributes={})
            kept = {"version": 1, "bindings": [], **policy, "etag": secrets.token_hex(6)}
            self._kept[resource] = kept
            return kept

    def forget(self, resource: str) -> None:
        """Drop the policy of a resource that is gone."""
        self._kept.pop(resource, None)

    def change(self, call: Call) -> dict[str, Any]:
        """Answer setIamPolicy."""
        return self.set(call["resource"], call.body.get("policy", {}))

    def show(self, call: Call) -> dict[str, Any]:
        """Answer getIamPolicy."""
        return self.get(call["resource"])

    def allows(
        self, who: str, permission: str, resource: str, *, name: str = "", attributes: Mapping[str, str] | None = None
    ) -> bool:
        """Return whether somebody may; `name` is the resource in conditions, `attributes` the request's."""
        if who == self._administrator:
            return True
        for binding in self.get(resource).get("bindings", []):
            if permission not in PERMISSIONS[binding["role"]] or not self._is_member(who, binding["members"]):
                continue
            condition = binding.get("condition", {}).get("expression", "")
            if not condition or _met(condition, resource=name or resource, attributes=attributes or {}):
                return True
        return False

    def _is_member(self, who: str, members: list[str]) -> bool:
        for member in members:
            kind, _, name = member.partition(":")
            if member == "allUsers" or (who and member == "allAuthenticatedUsers"):
                return True
            if who and name == (who if kind != "domain" else who.partition("@")[2]):
                return True
            if kind == "group" and who in self.groups.get(name, ()):
                return True
        return False


def _met(expression: str, *, resource: str, attributes: Mapping[str, str]) -> bool:
    """Evaluate an expression. Raises Failed for one of another form."""
    python = re.sub(r"!(?!=)", " not ", expression.replace("&&", " and ").replace("||", " or "))
    try:
        tree = ast.parse(python.strip(), mode="eval").body
    except SyntaxError:
        raise Failed(400, f"the rig does not read the condition {expression}") from None

    def value(node: Any) -> Any:
        match node:
            case ast.Constant(value=str() as text):
                found: Any = text
            case ast.BoolOp(op=op, values=values):
                found = (all if isinstance(op, ast.And) else any)(value(each) for each in values)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                found = not value(operand)
            case ast.Compare(left=left, ops=[ast.Eq() | ast.NotEq() as op], comparators=[right]):
                found = (value(left) == value(right)) is isinstance(op, ast.Eq)
            case ast.Attribute(value=ast.Name(id="resource"), attr="name"):
                found = resource
            case ast.Call(func=ast.Attribute(value=ast.Name(id="api"), attr="getAttribute"), args=[name, default]):
                found = attributes.get(value(name), value(default))
            case ast.Call(func=ast.Attribute(value=of, attr="startsWith"), args=[beginning]):
                found = value(of).startswith(value(beginning))
            case _:
                raise Failed(400, f"the rig does not read the condition {expression}")
        return found

    return bool(value(tree))
