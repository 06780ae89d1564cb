"""What Fargate does for one task: pull, roles, secrets, logs, the container itself, its health, its end.

A task's life is a thread of its own, which only reads what the scheduler owns. Everything that AWS would be asked is
asked of the emulated AWS with the credentials that AWS would use, so a missing permission is found as it would be.
"""

from __future__ import annotations

import collections
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from tests.rig.aws.ecs import reasons
from tests.rig.aws.ecs.model import arn, now
from tests.rig.aws.iam.enforcement import RoleNotAssumed, take_role
from tests.rig.processes import Container, Spec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from tests.rig.authority import Authority
    from tests.rig.aws.ecs.model import Task
    from tests.rig.aws.images import Images
    from tests.rig.aws.server import Caller, MotoServer
    from tests.rig.balancing import Balancers
    from tests.rig.clock import Clock
    from tests.rig.contents import Contents
    from tests.rig.patches import Patches

_ARCHITECTURES: Final = {"X86_64": "amd64", "ARM64": "arm64"}
_TRUST_STORE: Final = "/opt/rig/trust.pem"
_TICK_S: Final = 0.1
# Docker's own code for a command that cannot be executed.
_EXEC_FAILED: Final = 255
_KILLED: Final = 137
_SECRET_PARTS: Final = 7


class Runtime:
    """Runs tasks."""

    def __init__(
        self,
        patches: Patches,
        folder: Path,
        *,
        server: MotoServer,
        images: Images,
        balancers: Balancers,
        authority: Authority,
        clock: Clock,
        credentials_address: str,
    ) -> None:
        """Take what tasks meet."""
        self._folder, self._server, self._images = folder, server, images
        self._balancers, self._authority, self.clock = balancers, authority, clock
        self._credentials = CredentialsEndpoint(patches, credentials_address)

    def start(self, task: Task) -> None:
        """Let a task live."""
        task.thread = threading.Thread(target=self._live, args=(task,), name=f"task {task.id[:8]}")
        task.thread.start()

    def _live(self, task: Task) -> None:
        try:
            container, log = self._prepare(task)
        except reasons.NotStarted as error:
            task.stop(str(error), "TaskFailedToStart")
            self._end(task)
            return
        task.container = container
        task.started, task.born, task.status = now(), time.monotonic(), "RUNNING"
        self._attend(task, container, log)
        self._finish(task, container)
        log.flush()
        self._end(task)

    def _prepare(self, task: Task) -> tuple[Container, LogStream]:
        definition = task.container_definition
        execution, _ = self._take(task, "execution")
        image = definition["image"]
        published = self._pull(image, execution)
        architecture = _ARCHITECTURES[(task.definition.runtime_platform or {}).get("cpuArchitecture", "X86_64")]
        fits = f"linux/{architecture}" in published.platforms
        if not fits and published.index:
            raise reasons.platform_missing(f"linux/{architecture}")
        task.status = "PENDING"
        environment = {each["name"]: each["value"] for each in definition.get("environment") or []}
        for each in definition.get("secrets") or []:
            environment[each["name"]] = self._secret(each["valueFrom"], execution)
        override = _override(task)
        environment |= {each["name"]: each["value"] for each in override.get("environment") or []}
        log = LogStream(self._server, execution, task)
        command = list(override.get("command") or definition.get("command") or published.contents.command)
        if not fits:
            command = ["sh", "-c", f"echo 'exec {command[0]}: exec format error' >&2; exit {_EXEC_FAILED}"]
        spec = self._spec(task, published.contents, command, environment)
        return Container(spec, said=log.add), log

    def _pull(self, image: str, execution: Caller) -> Any:
        published = self._images.find(image)
        if published is None:
            raise reasons.image_missing(image)
        repository = image.partition("/")[2].partition("@")[0].partition(":")[0]
        ecr = self._server.client("ecr", execution)
        try:
            ecr.get_authorization_token()
            ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageDigest": published.digest}])
        except ClientError:
            raise reasons.pull_denied(image, execution.key) from None
        return published

    def _take(self, task: Task, kind: str) -> tuple[Caller, datetime]:
        role = task.definition.execution_role_arn if kind == "execution" else task.definition.task_role_arn
        context = {"aws:SourceAccount": arn("x").split(":")[4], "aws:SourceArn": task.arn}
        try:
            return take_role(role, service="ecs-tasks.amazonaws.com", session=task.id, context=context)
        except RoleNotAssumed:
            raise reasons.role_not_assumed(role) from None

    def _secret(self, reference: str, execution: Caller) -> str:
        parts = reference.split(":")
        key, stage, version = [*parts[_SECRET_PARTS:], "", "", ""][:3]
        wanted = {"VersionStage": stage} if stage else {}
        wanted |= {"VersionId": version} if version else {}
        secret = ":".join(parts[:_SECRET_PARTS])
        try:
            answer = self._server.client("secretsmanager", execution).get_secret_value(SecretId=secret, **wanted)
        except ClientError as error:
            raise reasons.secret_unreadable(secret, f"{error.response['Error']['Code']}: {error}") from None
        text = str(answer["SecretString"])
        if not key:
            return text
        try:
            return str(json.loads(text)[key])
        except (ValueError, KeyError, TypeError):
            raise reasons.secret_without_key(key) from None

    def _spec(self, task: Task, contents: Contents, command: Sequence[str], environment: Mapping[str, str]) -> Spec:
        definition, folder = task.container_definition, self._folder / task.id
        (folder / "root").mkdir(parents=True)
        volumes = {}
        for each in definition.get("mountPoints") or []:
            place = folder / "volumes" / each["sourceVolume"]
            place.mkdir(parents=True, exist_ok=True)
            volumes[place] = each["containerPath"]
        given = {
            **contents.environment,
            **self._server.environment(),
            "AWS_CA_BUNDLE": _TRUST_STORE,
            "SSL_CERT_FILE": _TRUST_STORE,
            **environment,
            "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
        }
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            if name not in environment:
                del given[name]
        if task.definition.task_role_arn:
            given["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = self._credentials.add(*self._take(task, "task"))
        return Spec(
            argv=[task.address if word == "0.0.0.0" else word for word in command],  # noqa: S104 - what is replaced
            environment=given,
            root=folder / "root",
            binds={**contents.binds, self._authority.bundle: _TRUST_STORE},
            volumes=volumes,
            read_only=bool(definition.get("readonlyRootFilesystem")),
            cwd=contents.cwd,
        )

    def _attend(self, task: Task, container: Container, log: LogStream) -> None:
        """Register it with its balancers, and ask for its health until it ends or is asked to."""
        for group, port in _targets(task):
            self._balancers.register(group, task.address, port)
        asked = time.monotonic()
        health = HealthCheck(task, container, self.clock)
        while container.exit_code is None and not task.stopping.wait(_TICK_S):
            log.flush()
            if time.monotonic() >= asked:
                health.ask()
                asked = time.monotonic() + health.interval_s

    def _finish(self, task: Task, container: Container) -> None:
        """Take it out of its balancers, let what it works on end, and end it."""
        if container.exit_code is not None:
            task.stop("Essential container in task exited", "EssentialContainerExited")
        else:
            task.status = "DEACTIVATING"
        for group, port in _targets(task):
            self._balancers.deregister(group, task.address, port)
        while container.exit_code is None and not all(
            self._balancers.drained(group, task.address, port) for group, port in _targets(task)
        ):
            time.sleep(0.02)
        task.status = "STOPPING"
        container.terminate()
        if not container.wait(self.clock.within(task.container_definition.get("stopTimeout") or 30)):
            container.kill()
        task.exit_code = container.exit_code

    def _end(self, task: Task) -> None:
        for group, port in _targets(task):
            self._balancers.forget(group, task.address, port)
        task.stopped, task.health = now(), "UNKNOWN"
        # Last, for whoever sees it stopped reads the rest.
        task.status = "STOPPED"


class HealthCheck:
    """A container's own health check. Failures within the start period do not count; one success ends it."""

    def __init__(self, task: Task, container: Container, clock: Clock) -> None:
        """Take the definition's check."""
        check = task.container_definition.get("healthCheck") or {}
        self._task, self._container = task, container
        self._command = _health_command(check.get("command") or [], task.address)
        self._timeout_s = float(check.get("timeout") or 5)
        self._retries = int(check.get("retries") or 3)
        self._until = time.monotonic() + clock.within(check.get("startPeriod") or 0)
        self._bad = 0
        self.interval_s = clock.every(check.get("interval") or 30)

    def ask(self) -> None:
        """Run the command once and judge."""
        if not self._command:
            return
        self._task.asked += 1
        if self._container.run(self._command, timeout_s=self._timeout_s) == 0:
            self._bad, self._task.health = 0, "HEALTHY"
        elif time.monotonic() > self._until or self._task.health == "HEALTHY":
            self._bad += 1
            if self._bad >= self._retries:
                self._task.health = "UNHEALTHY"


class LogStream:
    """A container's log stream, written with the execution role's credentials as the awslogs driver does."""

    def __init__(self, server: MotoServer, execution: Caller, task: Task) -> None:
        """Make the stream. Raises NotStarted."""
        definition = task.container_definition
        options = (definition.get("logConfiguration") or {}).get("options") or {}
        self._pending: collections.deque[dict[str, Any]] = collections.deque()
        self._client = None
        if "awslogs-group" not in options:
            return
        self._client = server.client("logs", execution)
        stream = f"{options['awslogs-stream-prefix']}/{definition['name']}/{task.id}"
        self._place = {"logGroupName": options["awslogs-group"], "logStreamName": stream}
        try:
            self._client.create_log_stream(**self._place)
        except ClientError as error:
            raise reasons.log_stream_refused(f"{error.response['Error']['Code']}: {error}") from None

    def add(self, line: str) -> None:
        """Take a line."""
        self._pending.append({"timestamp": int(time.time() * 1000), "message": line or " "})

    def flush(self) -> None:
        """Send what was taken. What the service refuses is dropped, as in non-blocking mode."""
        # Taken one by one: the container prints meanwhile.
        events = [self._pending.popleft() for _ in range(len(self._pending))]
        if self._client is not None and events:
            self._client.put_log_events(**self._place, logEvents=events)


class CredentialsEndpoint:
    """Where a task gets its role's credentials (ECS developer guide, 'task IAM role')."""

    def __init__(self, patches: Patches, address: str) -> None:
        """Listen."""
        given: dict[str, bytes] = {}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = given.get(self.path)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._given = given
        server = ThreadingHTTPServer((address, 0), Handler)
        self._url = f"http://{address}:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        patches.callback(server.server_close)
        patches.callback(thread.join)
        patches.callback(server.shutdown)

    def add(self, caller: Caller, expires: datetime) -> str:
        """Return the address of credentials."""
        path = f"/v2/credentials/{secrets.token_hex(16)}"
        document = {
            "AccessKeyId": caller.key,
            "SecretAccessKey": caller.secret,
            "Token": caller.token,
            "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        self._given[path] = json.dumps(document).encode()
        return self._url + path


def _targets(task: Task) -> list[tuple[str, int]]:
    held = (task.service.settings.get("loadBalancers") or []) if task.service else []
    return [(each["targetGroupArn"], int(each["containerPort"])) for each in held]


def _override(task: Task) -> Mapping[str, Any]:
    name = task.container_definition["name"]
    return next((each for each in task.overrides.get("containerOverrides") or [] if each.get("name") == name), {})


def _health_command(command: Sequence[str], address: str) -> list[str]:
    """Return a check's command for a container whose own loopback is `address`."""
    if not command or command[0] == "NONE":
        return []
    words = [word.replace("127.0.0.1", address).replace("localhost", address) for word in command[1:]]
    return ["/bin/sh", "-c", *words] if command[0] == "CMD-SHELL" else words
