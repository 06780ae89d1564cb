"""A backend's life on Cloud Run by the real engine on the rig: what the tests of its releases ask of it."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import urllib3

from mlflow_backend.gcp.naming import Naming
from mlflow_backend.server import parse_version
from mlflow_backend.vulnerabilities.table import of_version
from tests.rig import contents
from tests.rig.gcp.stack import GcpStack
from tests.server.servers import install_package
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.rig.gcp.rig import GcpRig
    from tests.rig.gcp.run.instance import Instance
    from tests.rig.gcp.run.jobs import Execution

# Whom Google lets through to a backend that has no check of its own.
CALLER: Final = "trainer"
_LOGIN: Final = ("admin-user", "admin-password")
_SETTLED_S: Final = 180
_EXECUTED_S: Final = 240


@dataclass(kw_only=True)
class Life:
    """The stack on its rig, and what its tests keep for the ones after them."""

    stack: GcpStack
    rig: GcpRig
    images: dict[str, str]
    kept: dict[str, Any] = field(default_factory=dict)

    @functools.cached_property
    def naming(self) -> Naming:
        """What the stack's parts are called."""
        rig = self.rig
        return Naming(
            stack_project="mlflow-backend",
            stack=self.stack.name,
            project=rig.project,
            number=rig.number,
            region=rig.region,
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
        """Return the administrator's header, that of the caller whom Google lets through, or both."""
        token = self.rig.tokens.identity(account(self.rig, CALLER), self.naming.url())
        if self.stack.settings["access"]["mode"] != "basic":
            return {"Authorization": f"Bearer {token}"}
        read, who = self.rig.secrets.read, self.rig.tokens.administrator
        user, password = (read(self.naming.secret(part), "latest", reader=who) for part in _LOGIN)
        gate = self.stack.settings["gcp"].get("access", {}).get("secondHeader")
        own = urllib3.make_headers(basic_auth=f"{user}:{password}")
        return {**({"X-Serverless-Authorization": f"Bearer {token}"} if gate else {}), **own}

    def call(self, path: str, body: object = None) -> dict[str, Any]:
        """Call MLflow's REST interface through the users' URL, logged in; read if there is no body."""
        headers = {**self.login(), "Content-Type": "application/json"}
        url = f"{self.naming.url()}/api/2.0/mlflow/{path}"
        method, content = ("GET", None) if body is None else ("POST", json.dumps(body).encode())

        def asked() -> Any:
            found = self.rig.ask(url, method, headers=headers, body=content)
            # No instance was there in time, and none has seen the request: MLflow's client repeats it too.
            return None if found.status == HTTPStatus.TOO_MANY_REQUESTS else found

        answer = until(asked, what=f"an instance for {path}", deadline_s=_SETTLED_S)
        assert answer is not None
        assert answer.status == HTTPStatus.OK, answer.data
        return dict(json.loads(answer.data))

    def start(self, part: str) -> Execution:
        """Do what Cloud Scheduler does when a job comes due; return the execution that it began, which has ended."""
        before = set(self.rig.jobs.executions)
        name = f"v1/{self.naming.parent}/jobs/{self.naming.job(part)}"
        asked = self.rig.call("POST", f"{name}:run", {}, api="cloudscheduler.v1")
        assert asked["status"] == {"code": 0}, asked["status"]
        (begun,) = self.rig.jobs.executions.keys() - before
        execution = self.rig.jobs.executions[begun]
        until(lambda: execution.completed, what=f"the end of {begun}", deadline_s=_EXECUTED_S)
        return execution

    def said(self, execution: Execution) -> list[dict[str, Any]]:
        """Return the log of an execution."""
        label = "run.googleapis.com/execution_name"
        return [each for each in self.rig.logs.entries if each["labels"].get(label) == execution.name]

    def runs(self) -> list[str]:
        """Return the runs that the life's user made."""
        found = self.call("runs/search", {"experiment_ids": [self.kept["experiment"]]}).get("runs", [])
        return sorted(each["info"]["run_id"] for each in found)

    def write(self, runs: int) -> None:
        """Make an experiment with some runs, and keep what they are."""
        self.kept["experiment"] = self.call("experiments/create", {"name": "before"})["experiment_id"]
        for number in range(runs):
            self.call("runs/create", {"experiment_id": self.kept["experiment"], "start_time": number})
        self.kept["before"] = self.runs()


def account(rig: GcpRig, name: str) -> str:
    """Return the address of a service account of the project."""
    return f"{name}@{rig.project}.iam.gserviceaccount.com"


def begin(
    folder: Path,
    rig: GcpRig,
    *versions: str,
    broken: Mapping[str, str] | None = None,
    foreign: Mapping[str, str] | None = None,
    **settings: Mapping[str, Any],
) -> Life:
    """Return the stack at the first version, not deployed yet, in a project that has the images of all versions.

    `broken` are images of that version whose server is none of MLflow's: tag -> what is wrong with it
    (tests/rig/tiny.py). `foreign` are images of it for another platform: tag -> the platform. `settings` are the
    stack's other ones.
    """
    package = install_package(folder / "package")
    first = versions[0]
    held = {each: contents.fronted(contents.mlflow(each, package, rig.authority)) for each in versions}
    images = {each: rig.registry.publish(each, held[each], labels=contents.labels(each)) for each in versions}
    for tag, behaviour in (broken or {}).items():
        made = contents.behaving(held[first], behaviour)
        images[tag] = rig.registry.publish(tag, made, labels=contents.labels(first))
    for tag, platform in (foreign or {}).items():
        images[tag] = rig.registry.publish(tag, held[first], labels=contents.labels(first), platforms=(platform,))
    document = {
        "target": "cloudrun",
        "server": {"workers": 1, "cpu": 2048, "memory": 4096},
        "access": {"mode": "basic"},
        "backup": {"protect": False},
        # Nothing here comes due by itself, and each update would look after its parts.
        "verify": {"schedule": "never"},
        **settings,
        "gcp": {
            "project": rig.project,
            "projectNumber": rig.number,
            "region": rig.region,
            **settings.get("gcp", {}),
        },
    }
    life = Life(stack=GcpStack(folder / "stack", rig, document), rig=rig, images=images)
    life.serve(first)
    return life
