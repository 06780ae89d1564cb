"""The live side of a backend on Kubernetes (target.Platform): its Deployment, its Jobs, its objects in S3."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.aws.clients import store_client
from mlflow_backend.aws.store import S3Store
from mlflow_backend.bucket_root import ARTIFACTS
from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.hosted import HostedPlatform
from mlflow_backend.kubernetes import scheduled, secrets, stores, unavailable
from mlflow_backend.kubernetes.api import Api
from mlflow_backend.kubernetes.ending import pods_ended
from mlflow_backend.kubernetes.history import KubernetesHistory, container_of, name_of, template_of
from mlflow_backend.kubernetes.locator import KubernetesLocator
from mlflow_backend.kubernetes.naming import JOB, SERVER, VERIFY
from mlflow_backend.kubernetes.oneshot import KubernetesJob, VerifyJob
from mlflow_backend.kubernetes.render import backups, maintenance, oneshot
from mlflow_backend.kubernetes.render.secrets import ACCESS_KEY, SECRET_KEY
from mlflow_backend.kubernetes.render.server import FIELD_MANAGER
from mlflow_backend.logged import without_passwords
from mlflow_backend.migrate.tool import DatabaseTool, TaskRunner
from mlflow_backend.releases.stores import DUMPS
from mlflow_backend.schedules import BACKUP, MAINTENANCE
from mlflow_backend.server import keys
from mlflow_backend.target import Described, LogPart, PartStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mlflow_backend.backup.source import DeployedSource
    from mlflow_backend.contract import WaitOutcome
    from mlflow_backend.releases.stores import Store
    from mlflow_backend.schema import Heads
    from mlflow_backend.target import TaskAsDeployed

# The longest rollout that settings can ask for is said by the Deployment's own progress deadline.
_START_DEADLINE_S: Final = 7200.0
_KINDS: Final = {SERVER: "Deployment", **stores.KINDS}


class KubernetesPlatform(HostedPlatform, KubernetesHistory):
    """One backend on Kubernetes."""

    target = KubernetesLocator.kind
    start_deadline_s = _START_DEADLINE_S

    def __init__(self, locator: KubernetesLocator, *, client: Any = None) -> None:
        """Take the backend's locator, and a client of its store; without one the keys of the store are asked for."""
        super().__init__(api=Api(connection=locator.connection, namespace=locator.namespace), naming=locator.naming)
        self.locator = locator
        self.s3 = client or _client(self.api, locator)
        store = S3Store(self.s3, bucket=locator.bucket, root=locator.root)
        self.store: Store = store
        self.dumps, self.artifacts = store.address(DUMPS), store.address(ARTIFACTS)

    # The database.

    def heads(self) -> Heads | None:
        """Return the schema heads, asked by a Job; None if there is no backend yet, or no database that answers."""
        return None if self.api.get("PodTemplate", self.naming.part(oneshot.DATABASE)) is None else super().heads()

    def tool(self, version: str | None) -> DatabaseTool:
        """Return the database tool in a version's image."""
        name = self.naming.part(oneshot.DATABASE)
        return DatabaseTool(TaskRunner(KubernetesJob(api=self.api, template=name, image=self._image(version))))

    # The servers.

    def stop_servers(self) -> None:
        """End every pod, with its grace period; without replicas the autoscaler does nothing.

        Until a revision serves again users are answered 503, and asked to come back.
        """
        if revisions := self._sets():
            unavailable.begin(self.api, self.naming, template_of(revisions[0]), self.pace)
        self.api.scale("Deployment", self.naming.part(SERVER), 0, manager=FIELD_MANAGER)
        if not pods_ended(self.api, self.naming, self.pace):
            raise PlatformFailed(
                "servers had not ended after their grace period",
                code="pods-not-ended",
                fix="Look at the nodes that they are on",
                part=self.naming.part(SERVER),
            )

    def wait(self, revision: str, *, deadline_s: float) -> WaitOutcome:
        """Wait as every history does; users are then answered by the revision alone."""
        outcome = super().wait(revision, deadline_s=deadline_s)
        if outcome.serving:
            unavailable.end(self.api, self.naming, self.pace)
        return outcome

    def start_servers(self, revision: str) -> None:
        """Serve a revision, whatever is being rolled out."""
        self.activate(revision)
        self.resume_servers()

    def resume_servers(self) -> None:
        """Bring the pods to the autoscaler's least number, a new Deployment's too; the autoscaler does the rest."""
        name = self.naming.part(SERVER)
        deployment, scaler = self.api.get("Deployment", name), self.api.get("HorizontalPodAutoscaler", name)
        least = int(((scaler or {}).get("spec") or {}).get("minReplicas", 1))
        if deployment is not None and deployment["spec"].get("replicas", 0) < least:
            self.api.scale("Deployment", name, least, manager=FIELD_MANAGER)

    def describe(self, revision: str) -> Described:
        """Return what a ReplicaSet runs. An ingress passes on none of the names that are called within the cluster."""
        found = container_of(self.revision(revision)).described(revision)
        if self.locator.inside:
            return found
        within = self.naming.hosts()
        hosts = tuple(host for host in found.callers.hosts if host.partition(":")[0] not in within)
        return replace(found, callers=replace(found.callers, hosts=hosts))

    def rotate_keys(self, *, lost: bool) -> str:
        """Let new keys wait in the server's Secret."""
        if lost:
            raise Refused(
                "The keys are in a Secret of the cluster, and nothing here can tell that they are lost.",
                code="kubernetes-keys-not-lost",
                fix=f"Restore the Secret {self.locator.secret}, and update.",
            )
        if self.locator.secret != self.naming.part(SERVER):
            raise Refused(
                f"The Secret {self.locator.secret} is somebody else's, so no keys are drawn into it.",
                code="kubernetes-keys-of-others",
                fix=f"Give {', '.join(keys.IN_FORCE)} new values where it is kept, put the old ones into "
                f"{keys.FORMER} as its first entry, and update.",
            )
        secrets.rotate(self.api, self.locator.secret)
        return "New keys are drawn."

    # Verification, and what people ask.

    def secrets(self) -> Mapping[str, Callable[[str], tuple[str, str]]]:
        """Return what reads Secrets of the namespace."""
        return {"kubernetes": partial(secrets.read, self.api)}

    def verifier(self) -> VerifyJob:
        """Return the Job that verifies within the cluster."""
        return VerifyJob(
            api=self.api,
            template=self.naming.part(VERIFY),
            credentials=self.locator.credentials_inside,
            locator=self.locator,
        )

    def count(self, verdict: str) -> None:
        """Do nothing: no alarm is here yet."""

    def parts(self) -> Iterator[PartStatus]:
        """Return the servers, the stores, and how scheduled work went."""
        for part, kind in _KINDS.items():
            found = self.api.get(kind, self.naming.part(part))
            if found is not None:
                wanted, ready = found["spec"].get("replicas", 0), (found.get("status") or {}).get("readyReplicas", 0)
                yield PartStatus(name=part, state=f"{ready} of {wanted} pods are ready", runs=0 < wanted <= ready)
        for name, state in self.schedules().items():
            yield PartStatus(name=name, state=state)

    # What one-shot tasks do, by a schedule or by a command.

    def task_of(self, part: str) -> TaskAsDeployed:
        """Return the Job of a part, which has what it does from the last update."""
        task = KubernetesJob(api=self.api, template=self.naming.part(part))
        return task, {BACKUP: backups.COMMAND, MAINTENANCE: maintenance.COMMAND}[part], task.template

    def schedules(self) -> Mapping[str, str]:
        """Return how the CronJobs' work went."""
        return scheduled.schedules(self.api, self.naming)

    def source(self, settings: bytes) -> DeployedSource:
        """Return the backend as a restore sees it."""
        # A status asks for the schedules alone.
        from mlflow_backend.kubernetes.restoring import source_of  # noqa: PLC0415

        return source_of(self, settings=settings)

    def log_parts(self) -> Sequence[LogPart]:
        """Return the parts that have pods, and scheduled work; the log of a command's Job is in its message."""
        return (
            *(LogPart(name=part) for part in _KINDS),
            LogPart(name=BACKUP, one_shot=True),
            LogPart(name=JOB, one_shot=True),
        )

    def tails(self, part: str, *, lines: int) -> Iterator[str]:
        """Return the last lines of each pod of a part."""
        pods = self.api.list("Pod", self.naming.selector(part))
        for pod in pods:
            name = pod["metadata"]["name"]
            said = without_passwords(self.api.log(name, lines=lines))
            yield f"{part} {name}: {(pod.get('status') or {}).get('phase', 'unknown')}\n{said}"
        if not pods:
            yield f"{part}: no pod runs"

    def audit(self) -> Iterator[str]:
        """Return the lines of the servers that run; what ended pods wrote is with whatever collects logs."""
        for pod in self.pods():
            yield from self.api.log(pod["metadata"]["name"]).splitlines()

    def _image(self, version: str | None) -> str:
        """Return the image of a version, '' for that of the last update. Raises Refused if no revision has it.

        What serves is asked first: the image of the last update may be what made it fail.
        """
        sets, serving = self._sets(), self.serving()
        for each in sorted(sets, key=lambda found: name_of(found) != serving):
            found = container_of(each)
            if version in {None, found.version}:
                return found.image
        template = self.api.get("PodTemplate", self.naming.part(oneshot.DATABASE)) or {}
        known = ((template.get("template") or {}).get("metadata") or {}).get("annotations") or {}
        if version is None or version in known.values():
            return ""
        raise Refused(
            f"No revision of MLflow {version} is left, so its database tool cannot run.",
            code="kubernetes-tool-version-gone",
            fix="Deploy that version again, or choose another.",
        )


def _client(api: Api, locator: KubernetesLocator) -> Any:
    """Return a client of the artifact store, with the keys of its Secret, else with those of the surroundings."""
    present = secrets.values(api, locator.keys) if locator.keys else {}
    if locator.keys and not {ACCESS_KEY, SECRET_KEY} <= present.keys():
        raise Refused(
            f"The Secret {locator.keys} with the keys of the artifact store is not there, or lacks one.",
            code="store-keys-missing",
            fix=f"Make it: kubectl --context {locator.context} --namespace {locator.namespace} create secret generic "
            f"{locator.keys} --from-literal={ACCESS_KEY}=... --from-literal={SECRET_KEY}=...",
        )
    return store_client(
        locator.region,
        endpoint=locator.endpoint,
        access_key=present.get(ACCESS_KEY),
        secret_key=present.get(SECRET_KEY),
    )
