"""Check of an adopted database: its engine's major version against the image's client programs.

The rules are the database tool's own (server/src/mlflow_backend_server/db/majors.py), which would say the same only
when it dumps before a migration, or restores.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.aws.asking import Unanswered, asked
from mlflow_backend.findings import Finding, failed, passed, skipped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROPERTY: Final = "database.existing"
_CHECK: Final = "database engine"
# Amazon RDS user guide, 'Finding the connection information': of instances and of Aurora clusters, China's too.
_OF_RDS: Final = (".rds.amazonaws.com", ".rds.amazonaws.com.cn")
_MAJOR: Final = re.compile(r"\d+")


def check(rds: Any, host: str, clients: int) -> Finding:
    """Look for the engine behind `host` and compare it. `clients` is the major version of the image's pg_dump."""
    if not host.lower().endswith(_OF_RDS):
        return _unknown(f"{host} is no address of RDS", clients)
    found = asked(next, (version for address, version in _engines(rds) if address.lower() == host.lower()), None)
    if isinstance(found, Unanswered):
        return _unknown(found.why, clients)
    match = _MAJOR.match(found or "")
    return (
        compared(int(match[0]), clients) if match else _unknown(f"RDS has no engine at {host} in this account", clients)
    )


def compared(engine: int, clients: int) -> Finding:
    """Compare an engine's major version against that of the image's client programs."""
    if engine == clients:
        return passed(_CHECK, PROPERTY, f"it is Postgres {engine}, as the image's client programs are.")
    if engine > clients:
        return failed(
            _CHECK,
            PROPERTY,
            f"it is Postgres {engine}, and pg_dump of the image is of {clients}: no migration could dump it before.",
            _image(engine),
        )
    return failed(
        _CHECK,
        PROPERTY,
        f"it is Postgres {engine}, and pg_restore of the image is of {clients}: no dump could be restored into it.",
        f"Upgrade the database to Postgres {clients}, or: {_image(engine)}",
    )


def _image(major: int) -> str:
    return f"Build the image with client programs of {major} (server/Dockerfile, POSTGRES_CLIENT={major})."


def _engines(rds: Any) -> Iterator[tuple[str, str]]:
    """Yield the address and the engine's version of each instance and each Aurora cluster."""
    for page in rds.get_paginator("describe_db_instances").paginate():
        for each in page["DBInstances"]:
            yield _text(each.get("Endpoint"), "Address"), _text(each, "EngineVersion")
    for page in rds.get_paginator("describe_db_clusters").paginate():
        for each in page["DBClusters"]:
            for name in ("Endpoint", "ReaderEndpoint"):
                yield _text(each, name), _text(each, "EngineVersion")


def _text(found: Mapping[str, Any] | None, name: str) -> str:
    return str((found or {}).get(name, ""))


def _unknown(why: str, clients: int) -> Finding:
    message = f"which Postgres it is could not be asked: {why}. The image's client programs are of {clients}."
    return skipped(_CHECK, PROPERTY, message, f"Make sure that it is Postgres {clients}.")
