"""Postgres and Valkey within the cluster, and the artifact store outside of it: where each is, what each runs. Pure.

Neither is called from outside the cluster: they have ClusterIP Services, and their network policies name the server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from mlflow_backend.aws.render.database import DATABASE_CA as RDS_CA
from mlflow_backend.aws.render.policies import S3Root
from mlflow_backend.backup.job import Bucket
from mlflow_backend.bucket_root import ARTIFACTS
from mlflow_backend.kubernetes.naming import CACHE, DATABASE, STORES
from mlflow_backend.kubernetes.render import pods, secrets
from mlflow_backend.server import ArtifactStore, CacheAddress, DatabaseAddress

if TYPE_CHECKING:
    from mlflow_backend.kubernetes.naming import Naming
    from mlflow_backend.kubernetes.render.pods import Document
    from mlflow_backend.settings import Settings

DATABASE_PORT: Final = 5432
CACHE_PORT: Final = 6379
_PORTS: Final = {DATABASE: DATABASE_PORT, CACHE: CACHE_PORT}
ADMINISTRATOR: Final = "postgres"
DATABASE_NAME: Final = "mlflow"
CA_FOLDER: Final = "/etc/mlflow-backend/database"
HOST_VARIABLE: Final = "MLFLOW_BACKEND_DATABASE_HOST"
"""Holds the host of a database whose Secret says it; Kubernetes puts it into the variables after it."""

_PGDATA: Final = "/var/lib/postgresql/data/pgdata"
_SECRETS: Final = "/etc/mlflow-backend/secrets"
_SOCKETS: Final = "/tmp"  # noqa: S108 - a volume of the pod's own
_SHARED: Final = "/dev/shm"  # noqa: S108 - as above
# A new data directory has its name only when initdb is done: a pod that is killed in the middle begins again.
_START_DATABASE: Final = f"""
umask 077
if [ ! -s {_PGDATA}/PG_VERSION ]; then
  rm -rf {_PGDATA}.new
  initdb --pgdata={_PGDATA}.new --username={ADMINISTRATOR} --pwfile={_SECRETS}/{secrets.DATABASE_ADMIN_PASSWORD} \
    --auth=scram-sha-256 --encoding=UTF8 --locale=C --data-checksums
  printf '%s\\n' 'local all all scram-sha-256' 'hostssl all all all scram-sha-256' > {_PGDATA}.new/pg_hba.conf
  mv {_PGDATA}.new {_PGDATA}
fi
exec postgres -D {_PGDATA} "$@"
"""
# The access list is written into memory: the password is in no command line, and Valkey keeps its hash only.
_START_CACHE: Final = f"""
umask 077
hash=$(printf %s "$(cat {_SECRETS}/{secrets.CACHE_PASSWORD})" | sha256sum | cut -d' ' -f1)
echo "user default on #$hash ~* &* +@all" > {_SOCKETS}/users.acl
exec valkey-server --port {CACHE_PORT} --dir {_SOCKETS} --aclfile {_SOCKETS}/users.acl --save '' "$@"
"""
_STOP_DATABASE_S: Final = 120
_STOP_CACHE_S: Final = 30
_SCRATCH_MIB: Final = 256
# Postgres after a crash replays what it wrote since the last checkpoint: minutes on a slow disk.
_DATABASE_START_S: Final = 600
_PERIOD_S: Final = 10


def store(settings: Settings) -> S3Root:
    """Return the backend's root in its bucket."""
    return S3Root.at(settings.artifacts.existing or "")


def bucket(settings: Settings) -> Bucket:
    """Return the backend's root in its bucket as a task in the cluster finds it."""
    found, wanted = store(settings), settings.kubernetes.artifacts
    return Bucket(bucket=found.bucket, root=found.root, region=wanted.region, endpoint=wanted.endpoint)


def artifact_store(settings: Settings) -> ArtifactStore:
    """Return the artifact store as the server reaches it."""
    wanted = settings.kubernetes.artifacts
    return ArtifactStore(
        destination=store(settings).address(ARTIFACTS),
        endpoint_url=wanted.endpoint,
        region=wanted.region,
        access_key=secrets.ACCESS_KEY if wanted.secret else None,
        secret_key=secrets.SECRET_KEY if wanted.secret else None,
    )


def database_address(settings: Settings, naming: Naming) -> DatabaseAddress:
    """Return the database as the server reaches it; a created one's certificate is always verified."""
    wanted, url = settings.kubernetes.database, urlsplit(settings.database.existing or "")
    created = settings.database.mode == "create"
    host = f"$({HOST_VARIABLE})" if wanted.host_key else str(url.hostname)
    authority = f"{CA_FOLDER}/{secrets.CA}" if created or wanted.ca else None
    return DatabaseAddress(
        host=naming.host(DATABASE) if created else host,
        port=DATABASE_PORT if created else url.port or DATABASE_PORT,
        name=DATABASE_NAME if created else url.path.strip("/"),
        user=wanted.user,
        password=secrets.DATABASE_PASSWORD,
        tls_ca=RDS_CA if wanted.rds else authority,
    )


def database_ca(settings: Settings, naming: Naming) -> Document | None:
    """Return the volume with the authority that the database's certificate is held to; None if there is none."""
    if settings.database.mode == "create":
        return pods.files("database-ca", secrets.server_secret(settings, naming), [secrets.CA])
    name = settings.kubernetes.database.ca
    return {"name": "database-ca", "configMap": {"name": name}} if name else None


def cache_address(settings: Settings, naming: Naming) -> CacheAddress:
    """Return the cache as the server reaches it."""
    url = urlsplit(settings.cache.existing or "")
    if settings.cache.mode == "create":
        return CacheAddress(host=naming.host(CACHE), port=CACHE_PORT, password=secrets.CACHE_PASSWORD)
    return CacheAddress(
        host=str(url.hostname),
        port=url.port or CACHE_PORT,
        password=secrets.CACHE_PASSWORD,
        tls=url.scheme == "rediss",
    )


def service(naming: Naming, part: str) -> Document:
    """Return the Service of a store."""
    port = _PORTS[part]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": naming.metadata(naming.part(part), part, pods.NO_WAIT),
        "spec": {
            "type": "ClusterIP",
            "selector": naming.selector(part),
            "ports": [{"name": part, "port": port, "targetPort": port, "protocol": "TCP"}],
        },
    }


def database(settings: Settings, naming: Naming, *, version: Any) -> Document:
    """Return Postgres. `version` is that of its certificate: another one starts it anew.

    Its volume outlives it if the stack protects its data; the next update finds it again by its name.
    """
    wanted = settings.kubernetes.database
    container = pods.container(
        DATABASE,
        image=str(wanted.image),
        volumes={"data": "/var/lib/postgresql/data", "secrets": _SECRETS, "shm": _SHARED, "tmp": _SOCKETS},
        read_only=["secrets"],
    )
    container |= {
        "command": ["sh", "-ec", pods.literal(_START_DATABASE), DATABASE, *_options(settings)],
        "ports": [{"name": DATABASE, "containerPort": DATABASE_PORT, "protocol": "TCP"}],
        "resources": pods.resources(
            cpu_request=wanted.cpu_request,
            memory_request=wanted.memory_request,
            cpu_limit=wanted.cpu,
            memory_limit=wanted.memory,
        ),
        **_probes(["pg_isready", "-q", "-h", _SOCKETS], start_s=_DATABASE_START_S),
        # Postgres takes INT for `end now, without a client's leave`; Kubernetes sends TERM, which waits for clients.
        "lifecycle": {"preStop": {"exec": {"command": ["pg_ctl", "stop", "-D", _PGDATA, "-m", "fast", "-W"]}}},
    }
    keys = [secrets.DATABASE_ADMIN_PASSWORD, secrets.CERTIFICATE, secrets.KEY]
    pod = pods.spec(
        [container],
        uid=wanted.uid,
        account=naming.account(STORES),
        volumes=[
            pods.files("secrets", secrets.server_secret(settings, naming), keys),
            # Parallel queries share memory there, and a container's own has 64 MiB.
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": pods.mib(_SCRATCH_MIB)}},
            pods.scratch("tmp", _SCRATCH_MIB),
        ],
        grace_s=_STOP_DATABASE_S,
    )
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": naming.metadata(naming.part(DATABASE), DATABASE, pods.NO_WAIT),
        "spec": {
            "serviceName": naming.part(DATABASE),
            "replicas": 1,
            "selector": {"matchLabels": naming.selector(DATABASE)},
            "template": pods.template(naming, DATABASE, pod, {"mlflow-backend/certificate": version}),
            "persistentVolumeClaimRetentionPolicy": {
                "whenDeleted": "Retain" if protected(settings) else "Delete",
                "whenScaled": "Retain",
            },
            "volumeClaimTemplates": [_claim(settings)],
        },
    }


def cache(settings: Settings, naming: Naming, *, version: Any) -> Document:
    """Return Valkey. `version` is that of its password: another one starts it anew."""
    wanted = settings.kubernetes.cache
    container = pods.container(
        CACHE, image=str(wanted.image), volumes={"secrets": _SECRETS, "tmp": _SOCKETS}, read_only=["secrets"]
    )
    # MLflow's job queue lies here: a queue whose entries may be thrown away if memory is short loses jobs silently.
    options = ["--maxmemory", f"{wanted.memory * 3 // 4}mb", "--maxmemory-policy", "noeviction"]
    container |= {
        "command": ["sh", "-ec", pods.literal(_START_CACHE), CACHE, *options],
        "ports": [{"name": CACHE, "containerPort": CACHE_PORT, "protocol": "TCP"}],
        "resources": pods.resources(
            cpu_request=wanted.cpu_request,
            memory_request=wanted.memory,
            cpu_limit=None,
            memory_limit=wanted.memory,
        ),
        "readinessProbe": {"tcpSocket": {"port": CACHE_PORT}, "periodSeconds": _PERIOD_S, "timeoutSeconds": 5},
        "livenessProbe": {"tcpSocket": {"port": CACHE_PORT}, "periodSeconds": _PERIOD_S, "timeoutSeconds": 5},
    }
    pod = pods.spec(
        [container],
        uid=wanted.uid,
        account=naming.account(STORES),
        volumes=[
            pods.files("secrets", secrets.server_secret(settings, naming), [secrets.CACHE_PASSWORD]),
            pods.scratch("tmp", _SCRATCH_MIB),
        ],
        grace_s=_STOP_CACHE_S,
    )
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": naming.metadata(naming.part(CACHE), CACHE, pods.NO_WAIT),
        "spec": {
            "replicas": 1,
            # Two would each have half of the queue.
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": naming.selector(CACHE)},
            "template": pods.template(naming, CACHE, pod, {"mlflow-backend/secrets": version}),
        },
    }


def protected(settings: Settings) -> bool:
    """Tell whether what holds data outlives the stack: it does unless that is given up by name."""
    return settings.backup.protect is not False


def _options(settings: Settings) -> list[str]:
    """Return Postgres's options: TLS for every connection that is not its own socket."""
    options = {
        "listen_addresses": "*",
        "max_connections": str(settings.database.max_connections),
        "unix_socket_directories": _SOCKETS,
        "ssl": "on",
        "ssl_cert_file": f"{_SECRETS}/{secrets.CERTIFICATE}",
        "ssl_key_file": f"{_SECRETS}/{secrets.KEY}",
        "ssl_min_protocol_version": "TLSv1.2",
        "password_encryption": "scram-sha-256",
    }
    return [part for name, value in options.items() for part in ("-c", f"{name}={value}")]


def _probes(command: list[str], *, start_s: int) -> Document:
    probe = {"exec": {"command": command}, "periodSeconds": _PERIOD_S, "timeoutSeconds": 5}
    return {
        "startupProbe": {**probe, "periodSeconds": 2, "failureThreshold": start_s // 2},
        "readinessProbe": probe,
        "livenessProbe": {**probe, "failureThreshold": 6},
    }


def _claim(settings: Settings) -> Document:
    wanted = settings.kubernetes.database
    named = {"storageClassName": wanted.storage_class} if wanted.storage_class else {}
    return {
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": f"{wanted.storage}Gi"}},
            **named,
        },
    }
