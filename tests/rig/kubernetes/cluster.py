"""A Kubernetes cluster of one node, and what a test does with it."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import secrets
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.rig.authority import Authority
from tests.rig.kubernetes import addons, cgroups, images, leftovers, parts, prepared
from tests.rig.kubernetes.namespaces import Namespaces, Program
from tests.server import server_image
from tests.server.services import until
from tools.bootstrap import kubernetes, pins
from tools.bootstrap.layout import find_layout

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

_DEADLINE_S: Final = 120


@dataclass(frozen=True)
class S3:
    """An S3 server, as pods and the deployer reach it."""

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str


class Cluster:
    """Runs from the beginning until it is closed."""

    context = parts.CONTEXT
    ingress_class, ingress_domain, ingress_address = addons.INGRESS_CLASS, addons.INGRESS_DOMAIN, parts.INGRESS
    storage_class = addons.STORAGE_CLASS

    def __init__(self, folder: Path) -> None:
        """Start it in an empty folder, and wait until everything in it is ready."""
        self.folder, self.volumes = folder, folder / "volumes"
        self.volumes.mkdir(parents=True)
        self._images = prepared.copy(prepared.ensure(), folder)
        self._programs = kubernetes.ensure(find_layout(dict(os.environ)), os.environ)
        self.authority = Authority(folder / "authority")
        self.cgroup = cgroups.make()
        self.kubeconfig = folder / "kubeconfig"
        self._names = folder / "resolv.conf"
        self._names.write_text(f"nameserver {parts.DNS}\n")
        self._parts: dict[str, Program] = {}
        self._namespaces = Namespaces()
        self.network = leftovers.network_of(self._namespaces.holder)
        try:
            self._start()
        except BaseException as error:
            for name in self._parts:
                error.add_note(f"{name}: {self.log(name)[-1500:]}")
            self.close()
            raise

    def _start(self) -> None:
        parts.write_files(self.folder, self.cgroup, self.authority)
        self._namespaces.run("sh", "-euc", parts.LINKS)
        commands = parts.arguments(self.folder, self._programs, self.authority)
        self._parts = {
            name: Program(self._namespaces, self.folder / f"{name}.log", argv) for name, argv in commands.items()
        }
        for name in ("etcd", "apiserver", "containerd"):
            self.start(name)
        until(lambda: self.kubectl("get", "--raw=/readyz"), what="the API server", deadline_s=_DEADLINE_S)
        for name in ("controllers", "scheduler", "kubelet", "proxy"):
            self.start(name)
        until(lambda: self.kubectl("get", "node", parts.NODE), what="the node", deadline_s=_DEADLINE_S)
        # It ends at once if its node is not registered.
        self.start("router")
        # Pods that cannot reach it end, and are started again seconds later.
        service = ("get", f"--server=https://{parts.API}", "--raw=/readyz")
        until(lambda: self.kubectl(*service), what="the API server's service", deadline_s=_DEADLINE_S)
        self.apply(*addons.documents(self.volumes))
        for namespace, name in addons.READY:
            self.until_ready(f"deployment/{name}", namespace)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Put this thread, and what it starts meanwhile, into the cluster's network, with its names."""
        with self._namespaces.entered({"/etc/resolv.conf": self._names}):
            yield

    def kubectl(self, *arguments: str, given: str | None = None, deadline_s: float = _DEADLINE_S) -> str:
        """Run kubectl as the administrator and return its output."""
        config = f"--kubeconfig={self.kubeconfig}"
        return self._namespaces.run(self._programs["kubectl"], config, *arguments, given=given, deadline_s=deadline_s)

    def get(self, kind: str, namespace: str, *arguments: str) -> list[dict[str, Any]]:
        """Return the objects of a kind in a namespace."""
        return list(json.loads(self.kubectl("get", kind, "-n", namespace, "-o", "json", *arguments))["items"])

    def apply(self, *documents: Mapping[str, Any], namespace: str = "") -> None:
        """Apply documents on the server's side."""
        listed = {"apiVersion": "v1", "kind": "List", "items": [*documents]}
        where = ("-n", namespace) if namespace else ()
        self.kubectl("apply", "--server-side", "-f", "-", *where, given=json.dumps(listed))

    def until_ready(self, name: str, namespace: str, *, deadline_s: float = _DEADLINE_S) -> None:
        """Wait for a rollout, such as `deployment/mlflow`; of one that fails, pods, events and last lines are shown."""
        waiting = ("rollout", "status", name, "-n", namespace, f"--timeout={deadline_s:.0f}s")
        try:
            self.kubectl(*waiting, deadline_s=deadline_s + 10)
        except RuntimeError as error:
            error.add_note(self.kubectl("get", "pods,events", "-n", namespace, "-o", "wide"))
            with contextlib.suppress(RuntimeError):
                error.add_note(self.kubectl("logs", name, "-n", namespace, "--tail=20"))
            raise

    def kill(self, pod: str, namespace: str) -> None:
        """SIGKILL what a pod runs, as the kernel does if memory is out; the kubelet starts it again in the same pod."""
        found = json.loads(self.kubectl("get", "pod", pod, "-n", namespace, "-o", "json"))
        (container,) = (each["containerID"] for each in found["status"]["containerStatuses"])
        kill = ("ctr", "--namespace=k8s.io", "tasks", "kill", "--signal=SIGKILL")
        self._namespaces.run(*kill, container.removeprefix("containerd://"))

    @contextlib.contextmanager
    def namespace(self, beginning: str, **labels: str) -> Iterator[str]:
        """Make a namespace that is of nobody else, with restricted pods; it is deleted at the end."""
        name = f"{beginning}-{secrets.token_hex(3)}"
        metadata = {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted", **labels}}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        try:
            yield name
        finally:
            self.kubectl("delete", "namespace", name, "--wait=false")

    def image(self, name: str, version: str = server_image.VERSION) -> str:
        """Return an image by digest: `server` of a version of MLflow, `stores`, `addons`, or `faulty-FAULT`.

        The server's of another version is built at first use, and imported, which takes half a minute.
        """
        key = prepared.server_name(version) if name == "server" else name
        if key not in self._images:
            archive = images.faulty() if name.startswith("faulty-") else images.server(version)
            self._images[key] = prepared.import_archive(self._namespaces, key, archive)
        return self._images[key]

    @functools.cached_property
    def s3(self) -> S3:
        """An S3 server with one bucket, started at first use."""
        keys = secrets.token_hex(10), secrets.token_hex(20)
        listening = ["moto_server", "--host", "0.0.0.0", "--port", "5000"]  # noqa: S104 - of the container
        ready = {"tcpSocket": {"port": 5000}}
        made = addons.deployment("stores", "s3", self.image("stores"), listening, ready=ready)
        # The pod's own port, because it is what network policies see.
        service = addons.service("stores", "s3", {"http": (5000, 5000)})
        self.apply(addons.head("v1", "Namespace", "stores"), made, service)
        self.until_ready("deployment/s3", "stores")
        bucket = "rig"
        # moto asks for a signature and does not look at whose it is.
        given = "endpoint_url='http://127.0.0.1:5000', aws_access_key_id='rig', aws_secret_access_key='rig'"
        script = f"import boto3; boto3.client('s3', 'us-east-1', {given}).create_bucket(Bucket='{bucket}')"
        self.kubectl("exec", "-n", "stores", "deployment/s3", "--", "/opt/moto/bin/python", "-c", script)
        return S3(f"http://s3.stores.svc.{parts.DOMAIN}:5000", bucket, *keys)

    @property
    def plugin(self) -> Path:
        """Pulumi's plugin for Kubernetes; its schema lies beside it."""
        return self._programs["pulumi-resource-kubernetes"]

    def install_plugin(self, home: Path) -> None:
        """Put the plugin into a PULUMI_HOME."""
        folder = home / "plugins" / f"resource-kubernetes-v{pins.KUBERNETES_PLUGIN}"
        # The engine does not follow a link to the folder. The plugin knows by itself where its own file is.
        folder.mkdir(parents=True)
        (folder / self.plugin.name).symlink_to(self.plugin)

    def start(self, part: str) -> None:
        """Start a part, such as `apiserver`."""
        self._parts[part].start()

    def stop(self, part: str) -> None:
        """Kill a part."""
        self._parts[part].stop()

    def log(self, part: str) -> str:
        """Return what a part printed."""
        path = self.folder / f"{part}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def running(self) -> Sequence[str]:
        """The parts that run."""
        return [name for name, program in self._parts.items() if program.running]

    def close(self) -> None:
        """End everything. Raises if something is left on the machine."""
        self._namespaces.close()
        for program in self._parts.values():
            program.wait()
        cgroups.remove(self.cgroup)
        shutil.rmtree(self.folder)
        if left := leftovers.find(self.folder, self.network, self.cgroup):
            raise RuntimeError(f"the cluster left on this machine: {left}")

    def __enter__(self) -> Self:
        """Use it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self.close()
