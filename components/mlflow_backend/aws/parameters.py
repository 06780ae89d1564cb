"""The database parameters that wait for a restart, by RDS's own word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.aws.asking import Unanswered, asked
from mlflow_backend.offered import restart_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow_backend.aws.connection import Connection

# Amazon RDS API reference, DBParameterGroupStatus (ParameterApplyStatus) and Parameter (ApplyMethod).
_WAITS: Final = "pending-reboot"


def waiting(instance: str, connection: Connection) -> tuple[str, ...]:
    """Return a line for each parameter group of an instance that waits for a restart; none without an instance.

    A caller who may not ask RDS gets a line that says so.
    """
    if not instance:
        return ()
    found = asked(lambda: tuple(lines(connection.client("rds"), instance, connection.region)))
    if isinstance(found, Unanswered):
        return (f"unknown whether parameters wait for a restart ({found.why})",)
    answer: tuple[str, ...] = found
    return answer


def lines(rds: Any, instance: str, region: str) -> Iterator[str]:
    """Yield a line for each parameter group of an instance that waits, with the command that ends that.

    RDS says of a group that it waits, and of a parameter only that it is of the kind that does: those are named.
    """
    (found,) = rds.describe_db_instances(DBInstanceIdentifier=instance)["DBInstances"]
    for group in found.get("DBParameterGroups", []):
        if group.get("ParameterApplyStatus") != _WAITS:
            continue
        pages = rds.get_paginator("describe_db_parameters").paginate(
            DBParameterGroupName=group["DBParameterGroupName"], Source="user"
        )
        static = ", ".join(
            f"{each['ParameterName']} = {each.get('ParameterValue', '')}"
            for page in pages
            for each in page["Parameters"]
            if each.get("ApplyMethod") == _WAITS
        )
        yield (
            f"waits for a restart, until which the values before are in force ({static}): "
            f"{restart_database(instance, region)}"
        )
