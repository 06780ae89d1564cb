"""Service accounts of a backend, and the roles that each has on exactly what it needs. Pure.

No role is on the project: a project often holds more than one backend, and other people's secrets and buckets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from mlflow_backend.gcp.render.storage import ARTIFACTS, DUMPS, VERIFY
from mlflow_backend.identity import OBJECT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mlflow_backend.gcp.naming import Naming
    from mlflow_backend.gcp.root import Store

SERVER: Final = "server"
DATABASE: Final = "database"
VERIFIER: Final = "verify"
ACCOUNTS: Final = (SERVER, DATABASE, VERIFIER)
"""Those that servers, the one-shot job on the database, and the verification inside the network run as."""

OBJECT_USER: Final = "roles/storage.objectUser"
OBJECT_VIEWER: Final = "roles/storage.objectViewer"
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


def grants(store: Store, secrets: dict[str, Iterable[str]]) -> tuple[Grant, ...]:
    """Return every grant; `secrets` are those that each account's containers are given, by their resource names."""
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
        _objects(store, VERIFIER, "verification", VERIFY, role=OBJECT_VIEWER),
        *_accessors(secrets),
    )


def _accessors(secrets: dict[str, Iterable[str]]) -> Iterator[Grant]:
    for account, named in sorted(secrets.items()):
        for name in sorted(set(named)):
            yield Grant(account=account, kind="secret", resource=name, role=SECRET_ACCESSOR)


def _objects(  # noqa: PLR0913 - what differs between them, by name
    store: Store, account: str, title: str, part: str, *, but: str = "", role: str = OBJECT_USER
) -> Grant:
    """Return a role on the objects below one prefix, and on listing them, apart from the object `but`.

    Listing is asked of the bucket, with the prefix as an attribute of the request ('IAM Conditions', Cloud Storage).
    """
    prefix = f"{store.prefix(part)}/"
    named = f'resource.name.startsWith("{_object(store, prefix)}")'
    if but:
        named = f'({named} && resource.name != "{_object(store, but)}")'
    listed = f'api.getAttribute("storage.googleapis.com/objectListPrefix", "").startsWith("{prefix}")'
    return Grant(
        account=account, kind="bucket", resource=store.bucket, role=role, title=title, condition=f"{named} || {listed}"
    )


def _object(store: Store, name: str) -> str:
    return f"projects/_/buckets/{store.bucket}/objects/{name}"
