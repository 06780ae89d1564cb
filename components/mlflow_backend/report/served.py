"""The plan's release, migration, pin and preflight. Pure.

A preview knows the inputs of resources, not what creating them would answer; so Preflight and Migration write what they
found among their inputs, and that is read here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend import tokens
from mlflow_backend.offered import restart_database
from mlflow_backend.report.events import known, plain, type_of
from mlflow_backend.report.model import Migration, Preflight, Release

if TYPE_CHECKING:
    from mlflow_backend.report.events import Step, Stream

_STACK: Final = "pulumi:pulumi:Stack"
# The engine marks colours in its own tags, and terminals in escapes.
_INSTANCE: Final = "aws:rds/instance:Instance"
_PARAMETERS: Final = "aws:rds/parameterGroup:ParameterGroup"
_NOT_KNOWN: Final = Migration(action="find out", schema="the database, or the way to it, is made by this update")


def reason(message: str) -> str:
    """Return why a check refused a property; the engine puts the property's value before it, which is left out.

    Empty for the engine's general message that a resource failed.
    """
    _, found, after = plain(message).partition(" has a problem: ")
    return after.strip() if found else ""


def releases(stream: Stream) -> tuple[Release | None, Release | None]:
    """Return what is served now and what would be; None if there is none, or nothing is known."""
    stack = stream.of_type(_STACK)
    before = _released(stack.old.outputs.get("release")) if stack and stack.old else None
    after = _wanted(stream)
    if after is None or before is None:
        return before, after
    same = (after.mlflow_version, after.image_digest) == (before.mlflow_version, before.image_digest)
    return before, before if same and not _server_changes(stream) else after


def migration(stream: Stream) -> Migration | None:
    """Return what happens to the schema; None if the plan has no migration."""
    step = stream.of_type(tokens.MIGRATION)
    if step is None:
        return None
    plan = step.inputs.get("plan")
    if not isinstance(plan, Mapping) or not known(plan):
        return _NOT_KNOWN
    action = str(plan.get("action", "find out"))
    downtime, rollback = str(plan.get("downtime", "")), str(plan.get("rollback", ""))
    return Migration(
        action=action,
        schema=str(plan.get("schema", "")),
        pending=tuple(map(str, plan.get("pending", ()))),
        rows={str(table): int(count) for table, count in plan.get("rows", {}).items()},
        breaking=downtime.startswith("yes"),
        downtime=downtime,
        rollback=rollback,
        restore_needed={"none": False, "create": False, "migrate": bool(rollback)}.get(action),
        interrupted=str(plan.get("interrupted", "")),
        upgrade=tuple(map(str, plan.get("upgrade", ()))),
    )


def waiting(stream: Stream) -> tuple[str, ...]:
    """Return a warning for each parameter of a database that changes and is in force after a restart only."""
    step = stream.of_type(_PARAMETERS)
    if step is None or step.old is None:
        return ()
    before, after = _static(step.old.inputs), _static(step.inputs)
    instance, rollout = stream.of_type(_INSTANCE), stream.of_type(tokens.ECS_ROLLOUT)
    restart = restart_database(_first("identifier", instance) or "IDENTIFIER", _first("region", rollout) or "REGION")
    return tuple(
        f"The database's {name} changes from {before[name]} to {value}, and is in force after a restart only, which "
        f"nothing does by itself: {restart}. Until then there are as many connections as before."
        for name, value in sorted(after.items())
        if name in before and before[name] != value
    )


def _static(inputs: Mapping[str, Any]) -> dict[str, str]:
    found = inputs.get("parameters")
    if not isinstance(found, list | tuple) or not known(found):
        return {}
    return {str(each["name"]): str(each["value"]) for each in found if each.get("applyMethod") == "pending-reboot"}


def pin(stream: Stream) -> str:
    """Return why the release of the settings is withheld; empty if it is not."""
    step = stream.of_type(tokens.HOLD)
    withheld = step.inputs.get("withheld") if step else None
    return str(withheld) if withheld and known(withheld) else ""


def preflight(stream: Stream) -> tuple[Preflight, ...]:
    """Return every finding of preflight, skipped ones included; of a failed one, the engine's message."""
    failed = tuple(
        _failed(reason(diagnostic.message))
        for diagnostic in stream.diagnostics
        if type_of(diagnostic.urn) == tokens.PREFLIGHT and diagnostic.severity == "error" and reason(diagnostic.message)
    )
    step = stream.of_type(tokens.PREFLIGHT)
    found = step.inputs.get("findings") if step else None
    if not isinstance(found, list | tuple) or not known(found):
        return failed
    order = ("fail", "skip", "pass")
    return tuple(
        Preflight(check=each["check"], outcome=each["outcome"], message=each["message"], fix=each.get("fix", ""))
        for each in sorted(found, key=lambda each: order.index(each["outcome"]))
    )


def _failed(text: str) -> Preflight:
    check, _, message = text.partition(": ")
    return Preflight(check=check, outcome="fail", message=message)


def _released(document: Any) -> Release | None:
    if not isinstance(document, Mapping) or not known(document):
        return None
    return Release(
        mlflow_version=document.get("mlflowVersion"),
        image_digest=document.get("imageDigest"),
        revision=document.get("revision"),
        schema_head=document.get("schemaHead"),
    )


def _wanted(stream: Stream) -> Release | None:
    look = stream.of_type(tokens.PREFLIGHT)
    step = stream.of_type(tokens.MIGRATION)
    installed = stream.of_type(tokens.LOCAL_ENVIRONMENT)
    # The migration's input is the version that is served, a pinned one too; the others have that of the settings.
    version = _first("mlflowVersion", step, look, installed)
    if version is None:
        return None
    image = _first("pinnedImage", look)
    return Release(mlflow_version=version, image_digest=image.rpartition("@")[2] if image else None)


def _first(key: str, *steps: Step | None) -> str | None:
    for step in steps:
        value = step.inputs.get(key) if step else None
        if isinstance(value, str) and known(value):
            return value
    return None


def _server_changes(stream: Stream) -> bool:
    types = {tokens.LOCAL_SERVER, "aws:ecs/taskDefinition:TaskDefinition"}
    return any(
        step.op not in {"same", "refresh"} and step.type in types and "database" not in step.name
        for step in stream.steps
    )
