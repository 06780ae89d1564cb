"""A service of the tiny server on the rig, made by the API alone: for what needs no program of ours."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.cloudrun.render import front
from tests.rig import contents
from tests.rig.gcp.discovery import Failed
from tests.rig.gcp.run.model import LATEST, NAMED
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.rig.gcp.rig import GcpRig

VERSION: Final = "3.17.2"
PORT: Final = 8080
_SETTLED_S: Final = 120


class Scene:
    """The project with a service account, and images of the tiny server; `name` is the service's."""

    def __init__(self, rig: GcpRig, name: str = "scene") -> None:
        """Make the account."""
        self.rig, self.short = rig, name
        self.parent = f"v2/projects/{rig.project}/locations/{rig.region}"
        self.path = f"{self.parent}/services/{name}"
        self.resource = self.path.removeprefix("v2/")
        self.account = f"{name}-server@{rig.project}.iam.gserviceaccount.com"
        body = {"accountId": f"{name}-server"}
        rig.call("POST", f"v1/projects/{rig.project}/serviceAccounts", body, api="iam.v1")

    def image(self, behaviour: str = "", *, platforms: Sequence[str] = ("linux/amd64",), index: bool = True) -> str:
        """Return an image of the tiny server."""
        tag = f"tiny-{behaviour}-{'-'.join(each.partition('/')[2] for each in platforms)}-{index}"
        return self.rig.registry.publish(
            tag, contents.fronted(contents.small(behaviour)), labels={}, platforms=platforms, index=index
        )

    def template(self, image: str = "", *, http2: bool = False, **more: Any) -> dict[str, Any]:
        """Return a template: the server alone by HTTP/1, or behind the product's front."""
        port = 5000 if http2 else PORT
        host = "127.0.0.1" if http2 else "0.0.0.0"  # noqa: S104 - the container's
        server: dict[str, Any] = {
            "name": "server", "image": image or self.image(), "command": ["mlflow"],
            "args": ["server", "--host", host, "--port", str(port)],
            "resources": {"limits": {"cpu": "1", "memory": "512Mi"}},
            "startupProbe": {
                "httpGet": {"path": "/health", "port": port}, "periodSeconds": 10, "failureThreshold": 24,
                "timeoutSeconds": 5,
            },
        }  # fmt: skip
        containers = [server]
        if http2:
            containers.insert(0, {
                "name": "front", "image": server["image"], "command": [front.COMMAND[0]],
                "args": list(front.COMMAND[1:]), "dependsOn": ["server"],
                "resources": {"limits": {"cpu": "1", "memory": "512Mi"}},
                "ports": [{"name": "h2c", "containerPort": PORT}],
                "env": [
                    {"name": key, "value": each}
                    for key, each in front.environment(server_port=port, workers=1, cpus=1).items()
                ],
            })  # fmt: skip
        else:
            server["ports"] = [{"containerPort": PORT}]
        return {"serviceAccount": self.account, "containers": containers, **more}

    def body(self, template: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """Return a service that lets everybody in."""
        scaling = {"minInstanceCount": 0, "maxInstanceCount": 3}
        return {"template": dict(template or self.template()), "scaling": scaling, "invokerIamDisabled": True, **more}

    def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make the service and wait for the operation. Raises Failed."""
        return self.done(self.rig.call("POST", f"{self.parent}/services", body, serviceId=self.short))

    def patch(self, body: Mapping[str, Any], **query: str) -> dict[str, Any]:
        """Change the service and wait for the operation. Raises Failed."""
        return self.done(self.rig.call("PATCH", self.path, body, **query))

    def get(self) -> dict[str, Any]:
        """Return the service."""
        return self.rig.call("GET", self.path)

    def delete(self) -> None:
        """Delete the service."""
        self.done(self.rig.call("DELETE", self.path))

    def done(self, operation: Mapping[str, Any]) -> dict[str, Any]:
        """Wait for an operation and return its answer. Raises Failed for its error."""

        def probe() -> dict[str, Any] | None:
            found = self.rig.call("GET", f"v2/{operation['name']}")
            return found if found["done"] else None

        found = until(probe, what="the operation", deadline_s=_SETTLED_S)
        assert found is not None
        if "error" in found:
            raise Failed(500, found["error"]["message"], str(found["error"]["code"]))
        return dict(found["response"])

    def to(self, revision: str, percent: int = 100, **more: Any) -> dict[str, Any]:
        """Return a target of the traffic."""
        return {"type": NAMED, "revision": revision, "percent": percent, **more}

    def latest(self, percent: int = 100, **more: Any) -> dict[str, Any]:
        """Return the target that is always the latest ready revision."""
        return {"type": LATEST, "percent": percent, **more}

    def owns(self, entry: Mapping[str, Any]) -> bool:
        """Return whether a log's entry is of this service."""
        return bool(entry["resource"]["labels"].get("service_name") == self.short)

    def url(self, path: str = "", *, tag: str = "") -> str:
        """Return a URL of the service, or of a tag of it."""
        return f"https://{self.rig.services.kept[self.resource].hosts(tag)[0]}/{path}"

    def env(self, **variables: str) -> dict[str, Any]:
        """Return a template whose server has variables, by which revisions differ."""
        template = copy.deepcopy(self.template())
        template["containers"][0]["env"] = [{"name": key, "value": each} for key, each in variables.items()]
        return template
