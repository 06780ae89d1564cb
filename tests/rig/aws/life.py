"""A backend's life on the shipped stack `dev`: what the tests of its releases ask of it, one after the other.

They share one deployment and stand in the order of that life: each begins where the one before ended.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import urllib3

from mlflow_backend.aws.naming import Naming
from mlflow_backend.aws.store import S3Store
from mlflow_backend.releases.ledger import Ledger
from tests.engine.releases.support import CLIENT, CLIENT_VERSION
from tests.rig import contents
from tests.rig.aws.stack import AwsStack
from tests.server.environments import python
from tests.server.servers import install_package, pool
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.rig.aws.ecs.model import Task
    from tests.rig.aws.rig import AwsRig

_CLIENT_DEADLINE_S: Final = 120
_SETTLED_S: Final = 180


@dataclass(kw_only=True)
class Life:
    """The stack on its rig, and what its tests keep for the ones after them."""

    stack: AwsStack
    rig: AwsRig
    naming: Naming
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def servers(self) -> list[Task]:
        """The server's tasks that have a process."""
        return [each for each in self.rig.live_tasks if each.definition.family == self.naming.family("server")]

    @property
    def ledger(self) -> Ledger:
        """What the backend's own prefix holds."""
        return Ledger(S3Store(self.rig.client("s3"), bucket=self.naming.bucket("data")), by="a test")

    @property
    def secrets(self) -> dict[str, str]:
        """What the server's secret holds now."""
        answer = self.rig.client("secretsmanager").get_secret_value(SecretId=self.naming.secret("server"))
        return dict(json.loads(answer["SecretString"]))

    def client(self, *arguments: str) -> Any:
        """Run a real MLflow client as the administrator, with no retries; return what it printed."""
        secrets = self.secrets
        what, *rest = arguments
        done = subprocess.run(
            [str(python(CLIENT_VERSION)), str(CLIENT), what, self.stack.outputs()["trackingUrl"], *rest],
            env={
                **os.environ,
                "MLFLOW_TRACKING_USERNAME": secrets["admin-user"],
                "MLFLOW_TRACKING_PASSWORD": secrets["admin-password"],
                "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
                "MLFLOW_DISABLE_TELEMETRY": "true",
            },
            capture_output=True,
            text=True,
            timeout=_CLIENT_DEADLINE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout) if done.stdout.strip() else None

    def call(self, path: str, body: object) -> dict[str, Any]:
        """Return what MLflow's REST interface answered to the administrator."""
        secrets = self.secrets
        login = urllib3.make_headers(basic_auth=f"{secrets['admin-user']}:{secrets['admin-password']}")
        url = f"{self.stack.outputs()['trackingUrl']}/api/2.0/mlflow/{path}"
        headers = {**login, "Content-Type": "application/json"}
        answer = pool().request("POST", url, body=json.dumps(body).encode(), headers=headers)
        assert answer.status == 200, answer.data
        return dict(answer.json())

    def only(self, revision: str) -> Task:
        """Hold ECS and the processes to one revision, once ECS has settled and drained; return its one task.

        When an update ends for which ECS went back, its way back may be a deployment that is still under way.
        """

        def settled() -> dict[str, Any]:
            service = self.service()
            over = [each["rolloutState"] for each in service["deployments"]] == ["COMPLETED"]
            return service if over and len(self.rig.live_tasks) == 1 else {}

        service = until(settled, what=f"revision {revision} alone", deadline_s=_SETTLED_S)
        assert service["taskDefinition"].endswith(f"{self.naming.family('server')}:{revision}")
        (task,) = self.servers
        assert str(task.definition.revision) == revision
        return task

    def service(self) -> dict[str, Any]:
        """Return the service as ECS describes it."""
        named = {"cluster": self.naming.cluster(), "services": [self.naming.service()]}
        return dict(self.rig.client("ecs").describe_services(**named)["services"][0])

    def planned(self) -> set[tuple[str, str]]:
        """Return what a refreshing preview would do to ECS: each operation, and the resource's name."""
        preview = self.stack.pulumi("preview", "--refresh", "--show-sames", "--json", "--stack", self.stack.name)
        assert preview.ok, preview.text
        steps = json.JSONDecoder().raw_decode(preview.text[preview.text.index("{") :])[0]["steps"]
        return {(each["op"], each["urn"].rpartition("::")[2]) for each in steps if "aws:ecs/" in each["urn"]}

    def serve(self, version: str, tag: str) -> None:
        """Ask for another image that says it is of this MLflow version."""
        self.stack.serve(version)
        image = str(self.stack.settings["server"]["image"])
        self.stack.write_settings(server={"image": f"{image.rpartition(':')[0]}:{tag}"})


def begin(
    rig: AwsRig,
    folder: Path,
    version: str,
    *,
    others: Sequence[str] = (),
    broken: Mapping[str, tuple[str, str]] | None = None,
) -> Life:
    """Return the stack, deployed at a version, in an account that has the images of others too.

    `broken` are images whose server is none of MLflow's: tag -> its version, and what is wrong with it
    (tests/rig/tiny.py).
    """
    package = install_package(folder / "package")
    for each in (version, *others):
        rig.images.publish(each, contents.mlflow(each, package, rig.authority), labels=contents.labels(each))
    for tag, (each, behaviour) in (broken or {}).items():
        held = contents.behaving(contents.mlflow(each, package, rig.authority), behaviour)
        rig.images.publish(tag, held, labels=contents.labels(each))
    stack = AwsStack(folder / "stack", rig)
    # `dev` is made for 3.17.2: older ones have one more connection pool, and 3.4.0 opens pools by the dozen at first.
    larger = {"database": {"instanceClass": "db.t4g.medium"}}
    stack.write_settings(database={"maxOverflow": 4, "maxConnections": 235}, aws=larger)
    stack.serve(version)
    stack.must_up()
    naming = Naming(project="mlflow-backend", stack=stack.name, account=rig.account, region=rig.region)
    return Life(stack=stack, rig=rig, naming=naming)
