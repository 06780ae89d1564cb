"""The live side of a backend on Cloud Run (target.Platform): its service, its jobs, its objects in Cloud Storage."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.bucket_root import ARTIFACTS
from mlflow_backend.cloudrun import logs, traffic
from mlflow_backend.cloudrun.history import CloudRunHistory, container_of, release_of
from mlflow_backend.cloudrun.locator import IDENTITY, SECRET, SIGNED, CloudRunLocator
from mlflow_backend.cloudrun.oneshot import CloudRunJob, VerifyJob, fetching
from mlflow_backend.cloudrun.render.service import VERSION_LABEL
from mlflow_backend.cloudrun.service import OPERATION_S, CloudRun
from mlflow_backend.cloudrun.staged import StagedRevision
from mlflow_backend.cloudrun.warmth import first_answer
from mlflow_backend.contract import Refused
from mlflow_backend.gcp import secrets
from mlflow_backend.gcp.api import RUN, shared
from mlflow_backend.gcp.identity_tokens import signed, token
from mlflow_backend.gcp.render.identity import DATABASE, SERVER, VERIFIER
from mlflow_backend.gcp.render.secrets import WAITING_KEYS
from mlflow_backend.gcp.render.storage import DUMPS
from mlflow_backend.gcp.store import GcsStore
from mlflow_backend.hosted import HostedPlatform
from mlflow_backend.logged import without_passwords
from mlflow_backend.migrate.tool import DatabaseTool, TaskRunner
from mlflow_backend.schedules import BACKUP
from mlflow_backend.server import keys
from mlflow_backend.target import Described, LogPart, PartStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mlflow_backend.backup.source import DeployedSource
    from mlflow_backend.gcp.api import Api
    from mlflow_backend.releases.stores import Store
    from mlflow_backend.schema import Heads
    from mlflow_backend.target import Candidate, TaskAsDeployed
    from mlflow_backend.verify.subjects import Subject

# 'Container runtime contract' (Cloud Run): SIGTERM, and SIGKILL ten seconds later; nobody says when all is over.
_GRACE_S: Final = 15.0
_AUTOMATIC: Final = {"scalingMode": "AUTOMATIC"}
_TAIL: Final = 1000


class CloudRunPlatform(HostedPlatform, CloudRunHistory):
    """One backend on Cloud Run."""

    target = CloudRunLocator.kind
    start_deadline_s = OPERATION_S

    def __init__(self, locator: CloudRunLocator, api: Api | None = None) -> None:
        """Take the backend's locator; nothing is asked yet."""
        self.api = api or shared()
        super().__init__(run=CloudRun(api=self.api, naming=locator.naming))
        self.locator, self.naming = locator, locator.naming
        self.store: Store = GcsStore(self.api, locator.store)
        self.dumps, self.artifacts = locator.store.address(DUMPS), locator.store.address(ARTIFACTS)
        self._secrets = secrets.Secrets(project=locator.project, api=self.api)

    # The database.

    def heads(self) -> Heads | None:
        """Return the schema heads, asked by a job; None if there is no backend yet, or no database that answers."""
        return None if self.run.job(self.naming.job(DATABASE)) is None else super().heads()

    def tool(self, version: str | None, versions: Mapping[str, str] | None = None) -> DatabaseTool:
        """Return the database tool in a version's image, with these `versions` of secrets instead of its own."""
        job = CloudRunJob(
            cloud_run=self.run,
            job=self.naming.job(DATABASE),
            image=self._image(version),
            versions=versions or {},
        )
        return DatabaseTool(TaskRunner(job))

    # The servers.

    def stop_servers(self) -> None:
        """End every instance, with its grace period."""
        self.run.change(traffic.stopped)
        self.run.pace.pause(_GRACE_S)

    def start_servers(self, revision: str) -> None:
        """Serve a revision, whatever is being deployed."""
        self.activate(revision)
        self.resume_servers()

    def resume_servers(self) -> None:
        """Let the service have its instances again."""
        wanted = {**_AUTOMATIC, **self.locator.scaling}
        self.run.change(lambda service: {"scaling": wanted} if traffic.is_stopped(service) else {})

    def stage(self, revision: str) -> Candidate | None:
        """Give a revision a tag, at whose address it can be verified while another one serves."""
        if self.serving() in {None, revision}:
            return None
        return StagedRevision.tagged(self, self.run.revision(revision)).warmed()

    def describe(self, revision: str) -> Described:
        """Return what a revision runs.

        Hosts are not compared: a request for a foreign one does not get past Google.
        """
        found = container_of(self.run.revision(revision)).described(revision)
        return replace(found, callers=replace(found.callers, hosts=()))

    def subject_at(self, url: str, revision: str, version: str) -> Subject:
        """Return the subject of a verification at an address, with a login for that one."""
        found = super().subject_at(url, revision, version)
        return replace(found, credentials=self.locator.credentials_at(url))

    def rotate_keys(self, *, lost: bool) -> str:
        """Let new keys wait in Secret Manager."""
        if lost:
            raise Refused(
                "The keys are in Secret Manager, and nothing here can tell that they are lost.",
                code="gcp-keys-not-lost",
                fix="Enable an older version of the secrets, and update.",
            )
        secrets.rotate(self._secrets, {part: self.naming.secret(part) for part in (*keys.NAMES, WAITING_KEYS)})
        return "New keys are drawn."

    # Verification, and what people ask.

    def secrets(self) -> Mapping[str, Callable[[str], tuple[str, str]]]:
        """Return what reads secrets, and what draws identity tokens."""
        return {
            SECRET: partial(secrets.reference, self._secrets),
            IDENTITY: partial(token, self.api),
            SIGNED: partial(signed, self.api),
        }

    def verifier(self) -> VerifyJob:
        """Return the job that verifies within the network."""
        return VerifyJob(
            cloud_run=self.run,
            job=self.naming.job(VERIFIER),
            credentials=self.locator.credentials_inside,
            locator=self.locator,
            fetch=fetching(self.locator),
        )

    def count(self, verdict: str) -> None:
        """Do nothing: no alarm is here yet."""

    def parts(self) -> Iterator[PartStatus]:
        """Return the servers, what Google says of them, and what the first answer says."""
        service = self.run.service()
        if service is None:
            return
        found, scaling = traffic.serving(service), service.get("scaling") or {}
        ready = traffic.is_ready(service) and found is not None
        said = "; ".join(traffic.reasons(service)) or ("ready" if ready else "not ready")
        yield PartStatus(name=SERVER, state=f"revision {found or 'none'}, {said}", runs=ready)
        revision = {} if found is None else self.run.revision(found)
        least = (revision.get("scaling") or {}).get("minInstanceCount", 0)
        warm = scaling.get("minInstanceCount", 0)
        state = f"{warm} of at most {scaling.get('maxInstanceCount', 'any')} instances stay warm for the service"
        yield PartStatus(name="min instances", state=state + (f"; the revision itself keeps {least}" if least else ""))
        yield PartStatus(name="first answer", state=first_answer(self.locator, self.secrets()))
        for tag, revision_name in sorted(traffic.tags(service).items()):
            yield PartStatus(name=f"tag {tag}", state=f"revision {revision_name}, {self.naming.host(tag)}")

    # What jobs do, by a schedule or by a command.

    def task_of(self, part: str) -> TaskAsDeployed | None:
        """Return the job of a part, which has what it does from the last update."""
        name = self.naming.job(part)
        if (found := self.run.job(name)) is None:
            return None
        (container,) = found["template"]["template"]["containers"]
        return CloudRunJob(cloud_run=self.run, job=name), (*container["command"], *container["args"]), name

    def schedules(self) -> Mapping[str, str]:
        """Return how the last execution of backups went."""
        name = self.naming.job(BACKUP)
        last = (self.run.job(name) or {}).get("latestCreatedExecution")
        if not last:
            return {}
        path = f"v2/{self.naming.parent}/jobs/{name}/executions/{traffic.short(last['name'])}"
        found = self.api.get(RUN, path)
        return {} if found is None else {BACKUP: traffic.outcome_of(found)}

    def source(self, settings: bytes) -> DeployedSource:
        """Return the backend as a restore sees it."""
        # A status asks for the schedules alone.
        from mlflow_backend.cloudrun.restoring import source_of  # noqa: PLC0415

        return source_of(self, settings=settings)

    def log_parts(self) -> Sequence[LogPart]:
        """Return the parts whose logs can be read; what a job wrote is in the message about it."""
        return (LogPart(name=SERVER),)

    def tails(self, part: str, *, lines: int) -> Iterator[str]:
        """Return the last lines of the servers."""
        found = logs.of_service(self.api, self.naming.project, self.naming.service(), newest=lines)
        yield f"{part} {self.naming.service()}:\n" + without_passwords("\n".join(found))

    def audit(self) -> Iterator[str]:
        """Return the newest lines of the servers; older ones are in Cloud Logging."""
        yield from logs.of_service(self.api, self.naming.project, self.naming.service(), newest=_TAIL)

    def _image(self, version: str | None) -> str:
        """Return the image of a version, '' for the job's own one. Raises Refused if no revision has it."""
        if version is None or self._declared(version):
            return ""
        for each in self.run.revisions():
            if release_of(each).mlflow_version == version:
                return container_of(each).image
        raise Refused(
            f"No revision of MLflow {version} is left, so its database tool cannot run.",
            code="cloudrun-tool-version-gone",
            fix="Deploy that version again, or choose another.",
        )

    def _declared(self, version: str) -> bool:
        """Return whether the database's job has the image of a version."""
        job: Mapping[str, Any] = self.run.job(self.naming.job(DATABASE)) or {}
        return bool((job.get("labels") or {}).get(VERSION_LABEL) == version.replace(".", "_"))
