"""One instance of a revision, or one task of a job: its containers as real processes, started in order and probed.

All containers of the rig share the machine's network, so that each instance has an address of its own in the place of
its localhost and of the wildcard address, in arguments and variables.
"""

from __future__ import annotations

import collections
import json
import re
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import urllib3

from mlflow_backend.local.tools import installed
from tests.rig.gcp.discovery import Failed
from tests.rig.gcp.hosts import PLACE
from tests.rig.processes import Container, Spec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from tests.rig.authority import Authority
    from tests.rig.clock import Clock
    from tests.rig.gcp.hosts import Hosts
    from tests.rig.gcp.metadata import Metadata
    from tests.rig.gcp.registry import Registry
    from tests.rig.gcp.secrets import Secrets
    from tests.rig.loopback import Block
    from tests.rig.oci import Published

CALLER: Final = "X-Rig-Caller"
"""The header by which the rig tells its HTTP/2 client the value of X-Forwarded-For."""
_TRUST_STORE: Final = "/opt/rig/trust.pem"
_PLATFORM: Final = "linux/amd64"
# Where the rig's own HTTP/2 client of an instance takes requests; containers do not listen there.
_INNER_PORT: Final = 18080
_EXEC_FAILED: Final = 255
# 'Configure container health checks' (Cloud Run): what holds without a startup probe.
_DEFAULT_PROBE: Final = {"periodSeconds": 240, "timeoutSeconds": 240, "failureThreshold": 1}
# 'Container runtime contract' (Cloud Run): from SIGTERM to SIGKILL.
_GRACE_S: Final = 10
_STEP_S: Final = 0.05


class NotStarted(Exception):
    """An instance could not be started; the text is Cloud Run's own sentence."""


@dataclass(frozen=True, kw_only=True)
class Machinery:
    """What every instance is started with."""

    folder: Path
    block: Block
    registry: Registry
    secrets: Secrets
    metadata: Metadata
    hosts: Hosts
    authority: Authority
    clock: Clock


@dataclass(eq=False, kw_only=True)
class Instance:
    """The containers of one template. `label` names them in logs; `variables` are the platform's own."""

    machinery: Machinery
    template: Mapping[str, Any]
    variables: Mapping[str, str]
    said: Callable[[str, str], None]
    address: str = ""
    containers: dict[str, Container] = field(default_factory=dict)
    outstanding: int = 0
    idle_since: float = field(default_factory=time.monotonic)
    started: bool = False
    ready: bool = False
    ended: bool = False
    failures: collections.Counter[str] = field(default_factory=collections.Counter)
    asked: dict[str, float] = field(default_factory=dict)
    task: bool = False
    _client: Container | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Start every container, each after those that it waits for. Raises NotStarted; nothing is left then."""
        machinery = self.machinery
        self.address = machinery.block.address()
        try:
            prepared = [(each, self._prepare(each)) for each in _ordered(self.template["containers"])]
            for definition, spec in prepared:
                self._start(definition, spec)
            if self.protocol == "h2c":
                self._client = self._speak_http2()
            if self.ended:
                raise NotStarted("The instance was ended while it started.")  # noqa: TRY301 - handled as any other
        except BaseException:
            self.ended = True
            # Whoever ended it meanwhile did not see what was started since.
            self._stop(0)
            raise
        self.started = self.ready = True
        self.idle_since = time.monotonic()

    @property
    def protocol(self) -> str:
        """How the container that takes requests speaks: http1 or h2c."""
        return str(self._ingress[1].get("name", "http1"))

    @property
    def upstream(self) -> tuple[str, int]:
        """Where the rig sends requests."""
        return self.address, _INNER_PORT if self._client else int(self._ingress[1]["containerPort"])

    @property
    def alive(self) -> bool:
        """Whether every container runs."""
        return not self.ended and all(each.exit_code is None for each in self.containers.values())

    @property
    def pids(self) -> list[int]:
        """The process of each container."""
        return [each.pid for each in self.containers.values()]

    def end(self, *, grace_s: float = _GRACE_S) -> None:
        """End every container: asked to, and killed after the grace period. One that is starting is given up."""
        with self._lock:
            if self.ended:
                return
            self.ended, self.ready = True, False
        self._stop(grace_s)

    def _stop(self, grace_s: float) -> None:
        every = [*self.containers.values(), *([self._client] if self._client else [])]
        if grace_s:
            for each in every:
                each.terminate()
        until = time.monotonic() + grace_s
        for each in every:
            if not (grace_s and each.wait(max(0.1, until - time.monotonic()))):
                each.kill()

    def look(self) -> None:
        """Probe what is due: failing liveness ends the instance, failing readiness keeps new requests away."""
        for definition in self.template["containers"]:
            for kind in ("livenessProbe", "readinessProbe"):
                probe, key = definition.get(kind), f"{definition['name']}.{kind}"
                if probe is None or time.monotonic() < self.asked.get(key, 0.0):
                    continue
                self.asked[key] = time.monotonic() + self.machinery.clock.every(probe.get("periodSeconds", 10))
                fine = self._probed(probe)
                self.failures[key] = 0 if fine else self.failures[key] + 1
                over = self.failures[key] >= probe.get("failureThreshold", 3)
                if kind == "readinessProbe":
                    self.ready = self.started and not over and (fine or self.ready)
                elif over:
                    self.said(definition["name"], "The instance was terminated because its liveness probe failed.")
                    self.end(grace_s=0)
                    return

    def wait(self, name: str, timeout_s: float) -> int | None:
        """Wait for a container's end and return its exit code; None if it runs on."""
        return self.containers[name].exit_code if self.containers[name].wait(timeout_s) else None

    @property
    def _ingress(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        for each in self.template["containers"]:
            for port in each.get("ports", []):
                return each, port
        return self.template["containers"][0], {"containerPort": 8080}

    def _prepare(self, definition: Mapping[str, Any]) -> Spec:
        published, account = self._pull(definition["image"]), self.template["serviceAccount"]
        argv = [*definition.get("command", published.contents.command), *definition.get("args", [])]
        environment = {each["name"]: each.get("value", "") for each in definition.get("env", [])}
        for each in definition.get("env", []):
            if "valueSource" in each:
                reference = each["valueSource"]["secretKeyRef"]
                environment[each["name"]] = self._secret(reference["secret"], reference["version"])
        if _PLATFORM not in published.platforms:
            # A single image of another architecture is pulled and cannot be executed.
            argv = ["sh", "-c", f"echo 'exec {argv[0]}: exec format error' >&2; exit {_EXEC_FAILED}"]
        own = (
            {"PORT": str(self._ingress[1]["containerPort"])} if definition is self._ingress[0] and not self.task else {}
        )
        machinery, folder = self.machinery, self.machinery.folder / self.address / definition["name"]
        (folder / "root").mkdir(parents=True)
        contents = published.contents
        environment = {
            **contents.environment, "SSL_CERT_FILE": _TRUST_STORE, "REQUESTS_CA_BUNDLE": _TRUST_STORE,
            **machinery.metadata.variables(account), **self.variables, **own,
            **{name: self._placed(value) for name, value in environment.items()},
        }  # fmt: skip
        binds, volumes = self._volumes(definition)
        return Spec(
            argv=[self._placed(word) for word in argv],
            environment=environment,
            root=folder / "root",
            binds={**contents.binds, machinery.authority.bundle: _TRUST_STORE, machinery.hosts.path: PLACE, **binds},
            volumes=volumes,
            cwd=contents.cwd,
        )

    def _pull(self, reference: str) -> Published:
        found = self.machinery.registry.find(reference)
        if found is None:
            raise NotStarted(f"Image '{reference}' not found.")
        if found.index and _PLATFORM not in found.platforms:
            raise NotStarted(f"Cloud Run does not support image '{reference}': it must support amd64/linux.")
        return found

    def _secret(self, name: str, version: str) -> str:
        account = self.template["serviceAccount"]
        try:
            return self.machinery.secrets.read(name, version, reader=account)
        except Failed as failed:
            if failed.code != 403:
                raise NotStarted(failed.message) from None
            raise NotStarted(
                f"Permission denied on secret: {name}/versions/{version} for Revision service account {account}. The "
                "service account used must be granted the 'Secret Manager Secret Accessor' role "
                "(roles/secretmanager.secretAccessor) at the secret, project or higher level."
            ) from None

    def _volumes(self, definition: Mapping[str, Any]) -> tuple[dict[Path, str], dict[Path, str]]:
        """Return what is bound and what is shared between the instance's containers, each to where it is mounted."""
        binds: dict[Path, str] = {}
        volumes: dict[Path, str] = {}
        known = {each["name"]: each for each in self.template.get("volumes", [])}
        for mount in definition.get("volumeMounts", []):
            volume = known[mount["name"]]
            # A container's own /tmp is there anyway, and no other container looks into it.
            if mount["mountPath"] == "/tmp":  # noqa: S108 - the container's
                continue
            folder = self.machinery.folder / self.address / "volumes" / mount["name"]
            folder.mkdir(parents=True, exist_ok=True)
            if "secret" not in volume:
                volumes[folder] = mount["mountPath"]
                continue
            for item in volume["secret"]["items"]:
                (folder / item["path"]).write_text(self._secret(volume["secret"]["secret"], item["version"]))
            binds[folder] = mount["mountPath"]
        return binds, volumes

    def _start(self, definition: Mapping[str, Any], spec: Spec) -> None:
        name = definition["name"]
        container = self.containers[name] = Container(spec, said=lambda line: self.said(name, line))
        ingress = definition is self._ingress[0]
        probe = definition.get("startupProbe") or (_DEFAULT_PROBE if ingress else None)
        if probe is None or self.task:
            return
        if not self._comes_up(container, probe):
            port = self._ingress[1]["containerPort"]
            raise NotStarted(
                "The user-provided container failed to start and listen on the port defined provided by the "
                f"PORT={port} environment variable within the allocated timeout. This can happen when the container "
                "port is misconfigured or if the timeout is too short. The health check timeout can be extended. Logs "
                "for this revision might contain more information."
                if ingress
                else f"The container '{name}' failed its startup probe. Logs for this revision might contain more."
            )

    def _comes_up(self, container: Container, probe: Mapping[str, Any]) -> bool:
        clock = self.machinery.clock
        period = probe.get("periodSeconds", 10)
        until = time.monotonic() + clock.within(
            probe.get("initialDelaySeconds", 0) + period * probe.get("failureThreshold", 3)
        )
        while time.monotonic() < until and container.exit_code is None and not self.ended:
            if self._probed(probe):
                return True
            threading.Event().wait(min(_STEP_S * 4, clock.every(period)))
        return False

    def _probed(self, probe: Mapping[str, Any]) -> bool:
        timeout, port = probe.get("timeoutSeconds", 1), self._ingress[1]["containerPort"]
        if "httpGet" not in probe:
            try:
                socket.create_connection((self.address, probe.get("tcpSocket", {}).get("port", port)), 1).close()
            except OSError:
                return False
            return True
        asked = probe["httpGet"]
        url = f"http://{self.address}:{asked.get('port', port)}{asked.get('path', '/')}"
        headers = {each["name"]: each["value"] for each in asked.get("httpHeaders", [])}
        try:
            # Any answer from 200 to 399 is a success ('Configure container health checks').
            answer = urllib3.request("GET", url, headers=headers, timeout=timeout, retries=False, redirect=False)
        except urllib3.exceptions.HTTPError:
            return False
        return 200 <= answer.status < 400

    def _speak_http2(self) -> Container:
        """Start what turns the rig's HTTP/1.1 into HTTP/2 in plain text, and wait until it listens."""
        proxy = {
            "handler": "reverse_proxy",
            "upstreams": [{"dial": f"{self.address}:{self._ingress[1]['containerPort']}"}],
            "transport": {"protocol": "http", "versions": ["h2c"]},
            "flush_interval": -1,
            # One hop more than Google has, which must not be seen: what the rig says of the caller is passed on.
            "headers": {
                "request": {
                    "set": {
                        "X-Forwarded-For": [f"{{http.request.header.{CALLER}}}"],
                        "X-Forwarded-Proto": ["https"],
                        "X-Forwarded-Host": ["{http.request.host}"],
                    },
                    "delete": [CALLER, "Via"],
                }
            },
        }
        server = {
            "listen": [f"{self.address}:{_INNER_PORT}"], "protocols": ["h1"], "routes": [{"handle": [proxy]}],
        }  # fmt: skip
        folder = self.machinery.folder / self.address
        config = folder / "google.json"
        document = {
            "admin": {"disabled": True, "config": {"persist": False}},
            "apps": {"http": {"servers": {"in": server}}},
        }
        config.write_text(json.dumps({**document, "logging": {"logs": {"default": {"level": "ERROR"}}}}))
        home = {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "HOME": str(folder)}
        argv = [str(installed("caddy")), "run", "--config", str(config)]
        made = Container(
            Spec(argv=argv, environment={"PATH": "/usr/bin:/bin", **home}), said=lambda line: self.said("google", line)
        )
        if not self._comes_up(made, {"tcpSocket": {"port": _INNER_PORT}, "periodSeconds": 2, "failureThreshold": 15}):
            made.kill()
            raise NotStarted("the rig's own HTTP/2 client did not start")
        return made

    def _placed(self, text: str) -> str:
        if text == "0.0.0.0":  # noqa: S104 - what is replaced
            return self.address
        if text.startswith("{"):
            # A document of Caddy's: an address without a host is the wildcard.
            text = re.sub(r'":(\d+)"', rf'"{self.address}:\1"', text)
        return re.sub(r"(?<![\d.])127\.0\.0\.1(?![\d.])", self.address, text)


def _ordered(containers: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return containers so that each comes after those that it depends on. Raises NotStarted for a circle."""
    left, found = list(containers), list[Any]()
    while left:
        free = [each for each in left if set(each.get("dependsOn", [])) <= {one["name"] for one in found}]
        if not free:
            raise NotStarted("containers wait for each other")
        found += free
        left = [each for each in left if each not in free]
    return found
