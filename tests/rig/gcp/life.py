"""A backend's life on Cloud Run by the real engine on the rig: what the tests of its releases ask of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import urllib3

from mlflow_backend.gcp.naming import Naming
from mlflow_backend.server import parse_version
from mlflow_backend.vulnerabilities.table import of_version
from tests.rig.gcp.rig import NUMBER, PROJECT, REGION, GcpRig
from tests.server.services import until

if TYPE_CHECKING:
    from tests.rig.gcp.run.instance import Instance
    from tests.rig.gcp.stack import GcpStack

_LOGIN: Final = ("admin-user", "admin-password")
_SETTLED_S: Final = 180


@dataclass(kw_only=True)
class Life:
    """The stack on its rig, and what its tests keep for the ones after them."""

    stack: GcpStack
    rig: GcpRig
    images: dict[str, str]
    kept: dict[str, Any] = field(default_factory=dict)
    naming: Naming = field(
        default_factory=lambda: Naming(
            stack_project="mlflow-backend", stack="gcp", project=PROJECT, number=NUMBER, region=REGION
        )
    )

    @property
    def service(self) -> dict[str, Any]:
        """The service as the API shows it."""
        return self.rig.call("GET", f"v2/{self.naming.parent}/services/{self.naming.service()}")

    def serving(self) -> str:
        """Return the one revision that has traffic."""
        (found,) = [each for each in self.service["trafficStatuses"] if each.get("percent")]
        return str(found.get("revision") or self.service["latestReadyRevision"].rpartition("/")[2])

    def revisions(self) -> set[str]:
        """Return every revision, also one that never started."""
        path = f"v2/{self.naming.parent}/services/{self.naming.service()}/revisions"
        return {each["name"].rpartition("/")[2] for each in self.rig.call("GET", path)["revisions"]}

    def only(self, revision: str) -> Instance:
        """Hold traffic and processes to one revision, once the others' instances have ended; return its instance.

        An idle instance of a revision that lost its traffic goes by itself some time later, as on Cloud Run.
        """

        def settled() -> Instance | None:
            live = self.rig.live
            right = [each for each in live if each.variables.get("K_REVISION") == revision and each.ready]
            return right[0] if len(live) == len(right) == 1 else None

        assert self.serving() == revision
        found = until(settled, what=f"an instance of {revision} alone", deadline_s=_SETTLED_S)
        assert found is not None
        return found

    def serve(self, version: str, image: str = "") -> None:
        """Ask for an MLflow version by the image of a tag, its own by default; accept what is known against it."""
        known = [row.id for row in of_version(parse_version(version))]
        self.stack.write_settings(
            server={"mlflowVersion": version, "image": self.images[image or version]},
            policy={"acceptVulnerabilities": known},
        )

    def tags(self) -> set[str]:
        """Return the revisions that have a tag."""
        service = self.rig.services.kept[f"{self.naming.parent}/services/{self.naming.service()}"]
        return set(service.tags().values())

    def login(self) -> dict[str, str]:
        """Return the administrator's header."""
        read, who = self.rig.secrets.read, self.rig.tokens.administrator
        user, password = (read(self.naming.secret(part), "latest", reader=who) for part in _LOGIN)
        return dict(urllib3.make_headers(basic_auth=f"{user}:{password}"))

    def call(self, path: str, body: object) -> dict[str, Any]:
        """Call MLflow's REST interface through the users' URL as the administrator."""
        headers = {**self.login(), "Content-Type": "application/json"}
        url = f"{self.naming.url()}/api/2.0/mlflow/{path}"
        answer = self.rig.ask(url, "POST", headers=headers, body=json.dumps(body).encode())
        assert answer.status == 200, answer.data
        return dict(json.loads(answer.data))

    def runs(self) -> list[str]:
        """Return the runs that the life's user made."""
        found = self.call("runs/search", {"experiment_ids": [self.kept["experiment"]]}).get("runs", [])
        return sorted(each["info"]["run_id"] for each in found)
