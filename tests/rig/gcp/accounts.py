"""IAM's service accounts, by their addresses."""

from __future__ import annotations

import hashlib
import re
import threading
from typing import TYPE_CHECKING, Any

from tests.rig.gcp.discovery import Failed

if TYPE_CHECKING:
    from tests.rig.gcp.discovery import Call, Directory
    from tests.rig.gcp.policies import Policies


class Accounts:
    """The accounts of one project."""

    def __init__(self, directory: Directory, policies: Policies, *, project: str) -> None:
        self._project, self._policies = project, policies
        self.kept: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        directory.handle(
            "iam.projects.serviceAccounts",
            create=self._create, get=self._get, list=self._list, patch=self._patch, delete=self._delete,
            setIamPolicy=policies.change, getIamPolicy=policies.show,
        )  # fmt: skip

    def exists(self, email: str) -> bool:
        """Return whether there is an account."""
        return email in self.kept

    def _create(self, call: Call) -> dict[str, Any]:
        short = call.body.get("accountId", "")
        if not re.fullmatch(r"[a-z]([-a-z0-9]{4,28}[a-z0-9])", short):
            raise Failed(400, f"the account ID {short} is none: 6 to 30 characters, the first a letter")
        email = f"{short}@{self._project}.iam.gserviceaccount.com"
        with self._lock:
            if email in self.kept:
                message = f"Service account {short} already exists within project projects/{self._project}."
                raise Failed(409, message, "ALREADY_EXISTS")
            self.kept[email] = {
                "name": f"projects/{self._project}/serviceAccounts/{email}", "projectId": self._project, "email": email,
                "uniqueId": str(int(hashlib.sha256(email.encode()).hexdigest()[:16], 16)),
                **call.body.get("serviceAccount", {}),
            }  # fmt: skip
        return self.kept[email]

    def _get(self, call: Call) -> dict[str, Any]:
        return self._find(call["name"])

    def _list(self, call: Call) -> dict[str, Any]:
        return {"accounts": list(self.kept.values())}

    def _patch(self, call: Call) -> dict[str, Any]:
        account = self._find(call["name"])
        for name in call.body.get("updateMask", "").split(","):
            if name not in {"displayName", "display_name", "description"}:
                raise Failed(400, f"an account's {name or 'whole'} cannot be changed")
            key = "displayName" if name == "display_name" else name
            account[key] = call.body.get("serviceAccount", {}).get(key, "")
        return account

    def _delete(self, call: Call) -> dict[str, Any]:
        account = self._find(call["name"])
        del self.kept[account["email"]]
        self._policies.forget(account["name"])
        return {}

    def _find(self, name: str) -> dict[str, Any]:
        email = name.rpartition("/")[2]
        if email not in self.kept:
            raise Failed(404, f"Unknown service account: {email}")
        return self.kept[email]
