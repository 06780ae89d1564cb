"""Cloud Storage and Secret Manager in this process: the rig's, held to Google's documents, behind the product's client.

It shows what the product asks and how it takes the answers; it says nothing of Google's own network and limits.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import urllib3

from mlflow_backend.gcp.api import STORAGE, Answer, Api
from mlflow_backend.pace import Pace
from tests.rig.gcp.discovery import Directory, Failed, Media
from tests.rig.gcp.policies import Policies
from tests.rig.gcp.secrets import Secrets
from tests.rig.gcp.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Mapping

ADMINISTRATOR = "administrator@p.iam.gserviceaccount.com"


class EmulatedGoogle(Api):
    """The product's client, asked as `caller`. `asked` has each call, and `refusals` what the next ones answer."""

    def __init__(self) -> None:
        """Make an empty project."""
        super().__init__(pace=Pace(pause=lambda _: None))
        self._directory, self.policies = Directory(), Policies(ADMINISTRATOR)
        self.storage = Storage(self._directory, self.policies, number="1")
        self.secrets = Secrets(self._directory, self.policies, project="p", number="1")
        self.caller = ADMINISTRATOR
        self.asked: list[tuple[str, str]] = []
        self.refusals: list[int] = []

    def bucket(self, name: str, *grants: Mapping[str, object]) -> None:
        """Make a bucket with these bindings."""
        self.call("POST", STORAGE, "storage/v1/b", {"name": name}, query={"project": "p"})
        policy = {"version": 3, "bindings": list(grants)}
        self.call("PUT", STORAGE, f"storage/v1/b/{name}/iam", policy)

    def _once(self, method: str, url: str, content: bytes | None, more: Mapping[str, str]) -> Answer | None:
        where = urlsplit(url)
        self.asked.append((method, where.path))
        if self.refusals:
            return Answer(status=self.refusals.pop(0), headers={}, content=b"{}")
        headers = {name: value for name, value in more.items() if value}
        try:
            found = self._directory.answer(
                where.netloc, method, where.path, where.query, content or b"",
                caller=self.caller, headers=headers, may=lambda _: True,
            )  # fmt: skip
        except Failed as failed:
            return Answer(status=failed.code, headers={}, content=json.dumps(failed.document()).encode())
        if not isinstance(found, Media):
            return Answer(status=200, headers={}, content=json.dumps(found).encode())
        said = urllib3.HTTPHeaderDict({name.replace("_", "-"): value for name, value in found.headers.items()})
        return Answer(status=found.status, headers=said, content=found.content)
