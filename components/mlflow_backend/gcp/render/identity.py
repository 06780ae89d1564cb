"""Service accounts of a backend, and the roles that each has on exactly what it needs. Pure.

No role is on the project: a project often holds more than one backend, and other people's secrets and buckets.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from mlflow_backend.backup.tool import FOLDER
from mlflow_backend.bucket_root import ARTIFACTS
from mlflow_backend.gcp.render.storage import DUMPS, VERIFY
from mlflow_backend.identity import OBJECT
from mlflow_backend.releases.stores import LEDGER, LOCKS, NEWEST, STAGING
from mlflow_backend.schedules import BACKUP, MAINTENANCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mlflow_backend.gcp.naming import Naming
    from mlflow_backend.gcp.root import GcsRoot

SERVER: Final = "server"
DATABASE: Final = "database"
VERIFIER: Final = "verify"
"""Accounts that servers, the one-shot job on the database, and the verification inside the network run as.

Besides, if there is a destination, one of the job that takes backups, and if a job can call the servers, one of that
which maintains, each called as its part (mlflow_backend/schedules.py); the scheduler starts a job as the job's own.
"""

OBJECT_USER: Final = "roles/storage.objectUser"
OBJECT_VIEWER: Final = "roles/storage.objectViewer"
OBJECT_CREATOR: Final = "roles/storage.objectCreator"
"""Neither overwrites nor deletes: both need storage.objects.delete ('IAM permissions for Cloud Storage')."""
SECRET_ACCESSOR: Final = "roles/secretmanager.secretAccessor"  # noqa: S105 - the name of a role


@dataclass(frozen=True, kw_only=True)
class Grant:
    """One role of one service account on one resource; `condition` narrows it, '' for none."""

    account: str
    kind: Literal["bucket", "secret"]
    resource: str
    role: str
    title: str = ""
    condition: str = ""

    def binding(self, naming: Naming) -> dict[str, Any]:
        """Return the binding in the resource's policy."""
        found: dict[str, Any] = {"role": self.role, "members": [naming.member(self.account)]}
        if self.condition:
            found["condition"] = {"title": self.title, "expression": self.condition}
        return found


def grants(
    store: GcsRoot, secrets: dict[str, Iterable[str]], *, backups: GcsRoot | None = None, verified: bool = False
) -> tuple[Grant, ...]:
    """Return every grant; `secrets` are those that each account's containers are given, by their resource names.

    `backups` is the root of the stack's backups, None if none are taken. `verified` says whether the backend is
    verified on a schedule, by an account that has to read the ledger.
    """
    maintained = MAINTENANCE in secrets
    return (
        _objects(store, SERVER, "artifacts", ARTIFACTS, but=f"{store.prefix(ARTIFACTS)}/{OBJECT}"),
        Grant(
            account=SERVER,
            kind="bucket",
            resource=store.bucket,
            role=OBJECT_VIEWER,
            title="identity",
            condition=f'resource.name == "{_object(store, f"{store.prefix(ARTIFACTS)}/{OBJECT}")}"',
        ),
        _objects(store, DATABASE, "dumps", DUMPS),
        _objects(store, DATABASE, "opened-backups", STAGING, role=OBJECT_VIEWER),
        _objects(store, VERIFIER, "verification", VERIFY, role=OBJECT_VIEWER),
        *([_reading(store, VERIFIER, "ledger")] if verified else []),
        *(_backup(store, backups) if backups else ()),
        *(_maintenance(store) if maintained else ()),
        *_accessors(secrets),
    )


def _backup(store: GcsRoot, there: GcsRoot) -> tuple[Grant, ...]:
    """Return what the job that takes backups may do: read the backend, dump into it, and create objects in `there`."""
    return (
        _reading(store, BACKUP, "backed-up", ARTIFACTS, FOLDER),
        _objects(store, BACKUP, "dump-and-lock", STAGING, LOCKS),
        _objects(there, BACKUP, "create-backups", "", role=OBJECT_CREATOR),
        _objects(there, BACKUP, "read-backups", "", role=OBJECT_VIEWER),
    )


def _maintenance(store: GcsRoot) -> tuple[Grant, ...]:
    """Return what the job that maintains may do: list artifacts and dumps, and lock; the servers remove."""
    return (
        _objects(store, MAINTENANCE, "maintained", ARTIFACTS, DUMPS, FOLDER, role=OBJECT_VIEWER),
        _objects(store, MAINTENANCE, "lock", LOCKS),
    )


def _reading(store: GcsRoot, account: str, title: str, *parts: str) -> Grant:
    """Return a role that reads the ledger, and the objects below the parts' prefixes."""
    newest = f'resource.name == "{_object(store, store.prefix(NEWEST))}"'
    read = _objects(store, account, title, *parts, LEDGER, role=OBJECT_VIEWER)
    return replace(read, condition=f"{read.condition} || {newest}")


def _accessors(secrets: dict[str, Iterable[str]]) -> Iterator[Grant]:
    for account, named in sorted(secrets.items()):
        for name in sorted(set(named)):
            yield Grant(account=account, kind="secret", resource=name, role=SECRET_ACCESSOR)


def _objects(store: GcsRoot, account: str, title: str, *parts: str, but: str = "", role: str = OBJECT_USER) -> Grant:
    """Return a role on the objects below the parts' prefixes, and on listing them, apart from the object `but`.

    Listing is asked of the bucket, with the prefix as an attribute of the request ('IAM Conditions', Cloud Storage).
    """
    prefixes = [f"{store.prefix(part).strip('/')}/" for part in parts]
    named = " || ".join(f'resource.name.startsWith("{_object(store, prefix)}")' for prefix in prefixes)
    if but:
        named = f'({named} && resource.name != "{_object(store, but)}")'
    asked = 'api.getAttribute("storage.googleapis.com/objectListPrefix", "")'
    listed = " || ".join(f'{asked}.startsWith("{prefix}")' for prefix in prefixes)
    return Grant(
        account=account, kind="bucket", resource=store.bucket, role=role, title=title, condition=f"{named} || {listed}"
    )


def _object(store: GcsRoot, name: str) -> str:
    return f"projects/_/buckets/{store.bucket}/objects/{name}"
