"""The settings of the workload within the cluster: those of the target kubernetes, with AWS's stores adopted. Pure.

Nothing of it is drawn by AWS: what is, the host of the database and every login, comes to the pods by Secrets. So the
release's identity, and every document, is known in a preview.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.aws.render import storage
from mlflow_backend.aws.render.database import database_name
from mlflow_backend.aws.render.network import CACHE_PORT, DATABASE_PORT

if TYPE_CHECKING:
    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.kubernetes.naming import Naming as ObjectNaming
    from mlflow_backend.settings import Settings

DATABASE_LOGIN, ADMINISTRATOR, CACHE_LOGIN = "database-login", "database-administrator", "cache-login"
"""Parts whose Secrets hold copies of logins that Secrets Manager keeps, and the database's host."""
HOST: Final = "host"
STORAGE_CLASS: Final = "mlflow-backend"
"""StorageClass of a created cluster: encrypted gp3 volumes."""
_UNKNOWN_HOST: Final = "in.the.secret"


def rds(settings: Settings) -> bool:
    """Tell whether the stack makes an instance of RDS."""
    return settings.database.mode == "create" and settings.eks.database == "rds"


def elasticache(settings: Settings) -> bool:
    """Tell whether the stack makes a cache of ElastiCache."""
    return settings.cache.mode == "create" and settings.eks.cache == "elasticache"


def created(settings: Settings) -> bool:
    """Tell whether the stack makes the cluster."""
    return settings.eks.cluster.existing is None


def cluster_name(settings: Settings, naming: Naming) -> str:
    """Return the name of the cluster."""
    return settings.eks.cluster.existing or naming.eks_cluster()


def cluster_arn(settings: Settings, naming: Naming) -> str:
    """Return the ARN of the cluster, by which kubectl's contexts of EKS are named."""
    return naming.arn("eks", f"cluster/{cluster_name(settings, naming)}")


def without_balancer(settings: Settings) -> Settings:
    """Return settings of a backend that has no load balancer of its own, and so no logs of one."""
    network = settings.aws.network.model_copy(update={"access_logs": False})
    return settings.model_copy(update={"aws": settings.aws.model_copy(update={"network": network})})


def within(settings: Settings, naming: Naming, objects: ObjectNaming) -> Settings:
    """Return the settings that the workload is rendered from."""
    wanted, store = settings.kubernetes, storage.store(settings, naming)
    database, in_cluster = _database(settings, objects)
    cache, of_cache = _cache(settings, objects)
    section = wanted.model_copy(
        update={
            "context": cluster_arn(settings, naming),
            "database": wanted.database.model_copy(update=in_cluster),
            "cache": wanted.cache.model_copy(update=of_cache),
            "artifacts": wanted.artifacts.model_copy(update={"region": naming.region}),
            "backup": wanted.backup.model_copy(update=_backup(settings, naming)),
        }
    )
    return settings.model_copy(
        update={
            "database": settings.database.model_copy(update=database),
            "cache": settings.cache.model_copy(update=cache),
            "artifacts": settings.artifacts.model_copy(
                update={"mode": "adopt", "existing": f"s3://{store.bucket}/{store.root}".rstrip("/")}
            ),
            "network": settings.network.model_copy(update={"mode": "create", "existing": None}),
            # RDS keeps its own backups; in the cluster there are none.
            "backup": settings.backup.model_copy(update={"retention_days": None} if rds(settings) else {}),
            "kubernetes": section,
        }
    )


def _database(settings: Settings, objects: ObjectNaming) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what changes of the section `database`, and of `kubernetes.database`."""
    login = {"secret": objects.part(DATABASE_LOGIN), "user": settings.aws.database.user, "rds": True}
    if rds(settings):
        existing = f"postgresql://{_UNKNOWN_HOST}:{DATABASE_PORT}/{database_name(settings)}"
        administered = {"administrator": objects.part(ADMINISTRATOR), "host_key": HOST}
        return {"mode": "adopt", "existing": existing}, {**login, **administered}
    if settings.database.mode == "adopt":
        return {}, login
    named = settings.kubernetes.database.storage_class
    return {}, {"storage_class": STORAGE_CLASS} if created(settings) and named is None else {}


def _backup(settings: Settings, naming: Naming) -> dict[str, Any]:
    """Return what changes of `kubernetes.backup`: the bucket is in the backend's region unless another is named."""
    named = settings.backup.destination is None or "region" in settings.kubernetes.backup.model_fields_set
    return {} if named else {"region": naming.region}


def _cache(settings: Settings, objects: ObjectNaming) -> tuple[dict[str, Any], dict[str, Any]]:
    login = {"secret": objects.part(CACHE_LOGIN)}
    if elasticache(settings):
        return {"mode": "adopt", "existing": f"rediss://{_UNKNOWN_HOST}:{CACHE_PORT}"}, login
    return {}, login if settings.cache.mode == "adopt" else {}
