"""The settings of a stack as typed, frozen models: names in camel case in `Pulumi.<stack>.yaml`, units in each field.

A field validator here checks one value alone, and its message never repeats the value: any setting may have been
given with `--secret`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import pyrage
from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError
from pyrage import x25519

from mlflow_backend import schedules, targets
from mlflow_backend.server import parse_version
from mlflow_backend.settings.aws import Aws
from mlflow_backend.settings.eks import Eks
from mlflow_backend.settings.gcp import Gcp
from mlflow_backend.settings.kubernetes import Kubernetes
from mlflow_backend.settings.policy import Policy
from mlflow_backend.settings.section import Section
from mlflow_backend.settings.users import Name, Permissions, Role, User

DEFAULT_MLFLOW_VERSION = "3.17.2"
# What SQLAlchemy 2.0 reads back as it was written (mlflow_backend/server/addresses.py).
_DATABASE_PATH = re.compile(r"/[A-Za-z0-9_.~-]+")
# A comma would end it in MLflow's list, and a star would be a pattern there.
_HOST = re.compile(r"([a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
_PREFIX = re.compile(r"(/[A-Za-z0-9_.~-]+)+")
# The first parts of MLflow's own routes, 2.9.2 to 3.17.2, and of ours: paths without the prefix are served too.
_ROUTES = frozenset({
    "ajax-api", "api", "build", "gateway", "get-artifact", "graphql", "health", "metrics", "model-versions", "signup",
    "static-files", "v1", "version",
})  # fmt: skip
_OBJECT_STORES = ("s3", "gs")


def _target(name: str) -> str:
    if name not in targets.MODULES:
        choices = " or ".join(f"'{each}'" for each in targets.MODULES)
        raise PydanticCustomError("literal_error", "no target", {"expected": choices})
    return name


def _mlflow_version(text: str) -> str:
    try:
        parse_version(text)
    except ValueError as error:
        raise ValueError(str(error)) from None
    return text


def _parts(text: str) -> tuple[str, str, int | None] | None:
    """Scheme, host and port of `text`; None when it is no absolute URL, or holds a user, query or fragment."""
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        return None
    if not url.scheme or not url.hostname or "@" in url.netloc or url.query or url.fragment or not text.isascii():
        return None
    return url.scheme, url.hostname, port


def _public_url(text: str) -> str:
    parts = _parts(text)
    if parts is None or parts[0] not in {"http", "https"} or urlsplit(text).path not in {"", "/"}:
        raise ValueError("must be the root of a host, such as https://mlflow.example.com, without path or user")
    return text.rstrip("/")


def _path_prefix(text: str) -> str:
    parts = text.split("/")[1:]
    if text and (not _PREFIX.fullmatch(text) or {".", ".."} & set(parts) or parts[0] in _ROUTES):
        raise ValueError("must be a path such as /mlflow, without a slash at its end, and no route of MLflow's own")
    return text


def _host(text: str) -> str:
    parts = _parts(f"http://{text}")
    if parts is None or not _HOST.fullmatch(text) or parts[2] == 0:
        raise ValueError("must be a host in lower case, such as mlflow.example.com or mlflow.example.com:8443")
    return text


def _origin(text: str) -> str:
    scheme, _, host = text.partition("://")
    if scheme not in {"http", "https"}:
        raise ValueError("must be an origin, such as https://app.example.com, without path")
    _host(host)
    return text


def _database_place(text: str) -> str:
    parts = _parts(text)
    if parts is None or parts[0] != "postgresql" or not _DATABASE_PATH.fullmatch(urlsplit(text).path):
        raise ValueError("must be postgresql://HOST:PORT/NAME without user or password; MLflow here runs on Postgres")
    return text


def _cache_place(text: str) -> str:
    parts = _parts(text)
    if parts is None or parts[0] not in {"redis", "rediss"}:
        raise ValueError("must be redis://HOST:PORT or rediss://HOST:PORT without user or password")
    return text


def _artifact_place(text: str) -> str:
    if text.startswith("/"):
        return text
    parts = _parts(text)
    if parts is None or parts[0] not in _OBJECT_STORES or parts[2] is not None:
        raise ValueError("must be s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or an absolute path")
    return text


def _backup_destination(text: str) -> str:
    parts = _parts(text)
    bucket = parts is not None and parts[0] in _OBJECT_STORES and parts[2] is None
    if not (bucket or text.startswith("/")) or {".", ".."} & set(text.split("/")):
        raise ValueError("must be the absolute path of a folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX")
    return text.rstrip("/")


def _recovery_key(text: str) -> str:
    try:
        x25519.Recipient.from_str(text)
    except pyrage.RecipientError:
        raise ValueError("must be a public key of age (age1...), as age-keygen shows it") from None
    return text


class Server(Section):
    """The `mlflow server` process set."""

    mlflow_version: Annotated[str, AfterValidator(_mlflow_version)] = DEFAULT_MLFLOW_VERSION
    """MLflow release, in quotes: unquoted, 3.10 would be the number 3.1."""
    image: Annotated[str, Field(min_length=1)] | None = None
    """Container image of the server, for the targets that run containers."""
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Worker processes of one replica."""
    replicas: Annotated[int, Field(ge=1, le=100)] = 1
    """Servers that run side by side."""
    cpu: Annotated[int, Field(ge=256, le=16384)] | None = None
    """CPU units of one replica, 1024 a core, for the targets that reserve them."""
    memory: Annotated[int, Field(ge=512, le=122880)] | None = None
    """Memory of one replica in MiB, for the targets that reserve it."""
    jobs: bool = False
    """MLflow's job runners: nine more processes and 2.4 GB a replica; their queue is on Redis."""
    request_timeout: Annotated[int, Field(ge=5, le=3600)] = 300
    """The longest request in seconds; keep-alive, drain and stop times follow from it."""
    max_request_mib: Annotated[int, Field(ge=0, le=1024)] = 64
    """The largest body of a request that is no artifact, in MiB; 0: no limit."""
    max_artifact_mib: Annotated[int, Field(ge=0, le=10_485_760)] = 5120
    """The largest artifact that is taken in one upload, in MiB; 0: no limit but `temporaryMib`."""
    temporary_mib: Annotated[int, Field(ge=64, le=10_485_760)] = 16384
    """What one server keeps of temporary files, in MiB: MLflow copies artifacts there on their way. Over it, uploads
    and downloads of artifacts are put off (503), so that the disk is never filled."""
    access_log: bool = True
    """A line of JSON for each request in the server's log."""
    port: Annotated[int, Field(ge=1024, le=65535)] | None = None
    """Public port on `local`; a free one is chosen and kept when it is left out."""
    extra_flags: dict[str, str | bool] = Field(default_factory=dict)
    """Further flags of `mlflow server` by name without hyphens in front; true for a switch."""


Mode = Literal["create", "adopt"]


class Database(Section):
    """Postgres."""

    mode: Mode = "create"
    """Create one, or adopt the one named by `existing`."""
    existing: Annotated[str, AfterValidator(_database_place)] | None = None
    """The database to adopt: postgresql://HOST:PORT/NAME."""
    max_connections: Annotated[int, Field(ge=20, le=10000)] | None = None
    """Connections that the database accepts: a created one is started with this, an adopted one must have it. Left out:
    300, or fewer if the instance class of a created database has memory for fewer."""
    pool_size: Annotated[int, Field(ge=1, le=200)] = 5
    """Connections that each engine of a server process keeps."""
    max_overflow: Annotated[int, Field(ge=1, le=200)] = 10
    """Connections that each engine may open beyond its pool; MLflow takes 0 for 'unset', hence at least 1."""


class Cache(Section):
    """Redis or Valkey."""

    mode: Mode = "create"
    """Create one, or adopt the one named by `existing`."""
    existing: Annotated[str, AfterValidator(_cache_place)] | None = None
    """The cache to adopt: rediss://HOST:PORT."""


class Artifacts(Section):
    """The artifact store."""

    mode: Mode = "create"
    """Create one, or adopt the one named by `existing`."""
    existing: Annotated[str, AfterValidator(_artifact_place)] | None = None
    """The store to adopt: s3://BUCKET/PREFIX or gs://BUCKET/PREFIX."""


class Network(Section):
    """The address of the backend."""

    mode: Mode = "create"
    """Create a network, or adopt the one named by `existing`."""
    existing: Annotated[str, Field(min_length=1)] | None = None
    """Identifier of the network to adopt."""
    public_url: Annotated[str, AfterValidator(_public_url)] | None = None
    """The URL that users call. `local` derives its own from `server.port`."""
    path_prefix: Annotated[str, AfterValidator(_path_prefix)] = ""
    """Path below which users call the server, such as /mlflow; it is part of the tracking URL."""


class Access(Section):
    """Who may call the server."""

    mode: Literal["none", "basic", "token", "cloudIdentity"] = "none"
    """`none` only on loopback; `basic` is MLflow's own users; `token` API keys; `cloudIdentity` the cloud's."""
    requests_per_minute: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """Requests that each API key may make in a minute, over all servers; 0: no limit; left out: 6000."""
    hosts: list[Annotated[str, AfterValidator(_host)]] = Field(default_factory=list)
    """Further hosts that users call the server by: HOST or HOST:PORT; without a port, any port is accepted."""
    origins: list[Annotated[str, AfterValidator(_origin)]] = Field(default_factory=list)
    """Further origins whose pages may call the server: https://HOST or https://HOST:PORT. MLflow 3.5.0 and newer."""
    users: dict[Name, User] = Field(default_factory=dict)
    """With `basic`: users by name. One that is removed here is deleted; users that were made elsewhere stay."""
    groups: dict[Name, list[Name]] = Field(default_factory=dict)
    """With `basic`: groups of users, by which `permissions` are given."""
    permissions: Permissions = Field(default_factory=Permissions)
    """With `basic`: who may do what."""
    roles: dict[Name, Role] = Field(default_factory=dict)
    """With `basic`, MLflow 3.17.2 and newer: MLflow's roles by name. One that is removed here is deleted."""


class Scaling(Section):
    """How far the number of replicas may move by itself."""

    max_replicas: Annotated[int, Field(ge=1, le=100)] | None = None
    """The most replicas at a time; left out, the number stays at `server.replicas`."""


class Upload(Section):
    """A file that a check sends as a form does."""

    field: Annotated[str, Field(pattern=r"^[^\s\"]+$")]
    """The form's field, such as file."""
    name: Annotated[str, Field(pattern=r"^[^\r\n\"]+$")]
    """The file's name."""
    text: str
    """What is in the file."""


class ExtraCheck(Section):
    """One HTTP check of the user's own, made by verification besides its profile."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    """What the check is called in reports."""
    path: Annotated[str, Field(pattern=r"^/[^\s]*$")]
    """Path under the public URL."""
    method: Literal["GET", "HEAD", "POST", "PUT", "DELETE"] = "GET"
    """HTTP method."""
    status: Annotated[int, Field(ge=100, le=599)] = 200
    """The status expected."""
    headers: dict[str, Annotated[str, Field(pattern=r"^(env|file|secretsmanager):")]] = Field(default_factory=dict)
    """Headers to send, each value by reference: env:NAME or file:PATH."""
    body: dict[str, Any] | list[Any] | None = None
    """What is sent, as JSON. No secret: it is kept in plain."""
    upload: Upload | None = None
    """A file to send in the place of a body."""
    save: dict[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")], Annotated[str, Field(pattern=r"^\$")]] = (
        Field(default_factory=dict)
    )
    """Values of the answer to keep: name to JSON path. Later checks write one as ${NAME} in path, body or upload."""
    within: Annotated[int, Field(ge=1, le=3600)] | None = None
    """Seconds for which the request is repeated until the answer is the expected one."""
    json_path: Annotated[str, Field(pattern=r"^\$")] | None = None
    """Where to look in the JSON answer, such as $.models[0].id."""
    json_value: str | int | float | bool | None = None
    """What has to stand there."""


class Verify(Section):
    """The verification that makes a green `up` mean something."""

    profile: Literal["core", "full", "client"] = "core"
    """The set of checks."""
    deadline: Annotated[int, Field(ge=5, le=3600)] = 180
    """Seconds in which all checks must have answered."""
    on_failure: Literal["stop", "rollback"] = "stop"
    """What a failed verification does besides failing the update."""
    when: Literal["always", "changed"] = "always"
    """`always`: in every update. `changed`: only if something that serving depends on changed, or the last report is
    missing or does not pass; a backend that broke since is then not noticed by an update."""
    extra_checks: list[ExtraCheck] = Field(default_factory=list)
    """HTTP checks of your own."""
    schedule: Annotated[str, AfterValidator(schedules.valid)] | None = None
    """When it runs by itself between updates: five fields of cron in UTC, or `never`. Left out: each hour, but never on
    stacks called `local` or `dev`, nor if nothing on the target can call the server (docs/runbooks/monitoring.md)."""


class Migrate(Section):
    """The schema migration step."""

    on_failure: Literal["stop", "restore"] = "stop"
    """What a migration that failed half-way does: stop and wait for a person, or restore the dump taken before it."""


class ReleaseSettings(Section):
    """Which release is served."""

    pin: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """Request to serve this older revision; the ledger decides, and disagreement is refused."""
    accept_pin: bool = False
    """An update that defers a release because of a pin ends green."""
    soak_hours: Annotated[int, Field(ge=0, le=720)] = 0
    """Hours that a release must have been verified on the stack it comes from."""
    soak_source: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """The stack that it comes from, in the same account and region."""


class Backup(Section):
    """Backups: the platform's own of the database, and those that scripts.backup takes of the whole backend."""

    retention_days: Annotated[int, Field(ge=0, le=365)] | None = None
    """Days that the platform keeps the database's own backups."""
    destination: Annotated[str, AfterValidator(_backup_destination)] | None = None
    """Where backups of the whole backend go: a folder of another machine, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX."""
    recovery_key: Annotated[str, AfterValidator(_recovery_key)] | None = None
    """The public key (age1...) of the private one that opens backups if the stack is lost; keep that one elsewhere."""
    keep_days: Annotated[int, Field(ge=1, le=3650)] = 30
    """Days that `scripts.backup prune` keeps a backup at least."""
    schedule: Annotated[str, AfterValidator(schedules.valid)] = "0 2 * * *"
    """When backups are taken, if there is a destination: five fields of cron in UTC, or `never`."""
    drill_schedule: Annotated[str, AfterValidator(schedules.valid)] = "0 4 * * 0"
    """When the newest backup is drilled, if there is a destination: five fields of cron in UTC, or `never`."""
    protect: bool | None = None
    """Refuse to delete what holds data, and keep a last snapshot of the database; left out, clouds do."""


class Maintain(Section):
    """What scripts.maintain does, and when it runs by itself."""

    schedule: Annotated[str, AfterValidator(schedules.valid)] = schedules.NEVER
    """When it runs by itself: five fields of cron in UTC, or `never`."""
    keep_deleted_days: Annotated[int, Field(ge=1, le=3650)] = 30
    """Days for which runs, logged models and experiments that users deleted can be restored; then they are removed."""


class Monitoring(Section):
    """What watches the backend."""

    database_connections: Annotated[int, Field(ge=0, le=100)] = 2
    """Connections to the database set aside for monitoring."""


class Settings(Section):
    """Everything that `Pulumi.<stack>.yaml` says about a backend."""

    target: Annotated[str, AfterValidator(_target), WithJsonSchema({"type": "string", "enum": list(targets.MODULES)})]
    """Where the backend runs."""
    server: Server = Field(default_factory=Server)
    database: Database = Field(default_factory=Database)
    cache: Cache = Field(default_factory=Cache)
    artifacts: Artifacts = Field(default_factory=Artifacts)
    network: Network = Field(default_factory=Network)
    access: Access = Field(default_factory=Access)
    scaling: Scaling = Field(default_factory=Scaling)
    verify: Verify = Field(default_factory=Verify)
    migrate: Migrate = Field(default_factory=Migrate)
    release: ReleaseSettings = Field(default_factory=ReleaseSettings)
    backup: Backup = Field(default_factory=Backup)
    maintain: Maintain = Field(default_factory=Maintain)
    monitoring: Monitoring = Field(default_factory=Monitoring)
    policy: Policy = Field(default_factory=Policy)
    aws: Aws = Field(default_factory=Aws)
    """What only AWS asks for."""
    kubernetes: Kubernetes = Field(default_factory=Kubernetes)
    """What only Kubernetes asks for."""
    eks: Eks = Field(default_factory=Eks)
    """What only Amazon EKS asks for."""
    gcp: Gcp = Field(default_factory=Gcp)
    """What only Google Cloud asks for."""
    tags: dict[str, Annotated[str, Field(max_length=256)]] = Field(default_factory=dict)
    """Tags or labels on every resource that can have them."""
