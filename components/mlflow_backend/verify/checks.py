"""The table of checks: names, what each needs to have passed before, and which profile holds it."""

from __future__ import annotations

from typing import Final

from mlflow_backend.contract import UsageError
from mlflow_backend.verify import (
    access,
    artifacts,
    consistency,
    doors,
    genai,
    identity,
    older,
    plugin,
    registry,
    rights,
    schema_check,
    serving,
    tracking,
)
from mlflow_backend.verify.check import Check
from mlflow_backend.verify.clients import run
from mlflow_backend.verify.model import Part

LOGGED: Final = ("log-metric", "log-parameter", "log-batch", "log-batch-large", "log-inputs")
"""What a training script logs to a run before it finishes it."""

CORE: Final[tuple[Check, ...]] = (
    Check(name="health", part=Part.SERVER, run=serving.health),
    Check(name="version", part=Part.SERVER, run=serving.version, needs=("health",)),
    Check(name="revision", part=Part.PLATFORM, run=serving.revision),
    # MLflow opens each store at its first use, and two first uses at once can break it (seen on 3.4.0: KeyError
    # 'script', from Alembic): the first calls to the tracking store and to the registry go alone.
    Check(name="host", part=Part.DATABASE, run=serving.host, needs=("health",)),
    Check(name="origin", part=Part.DATABASE, run=access.origin, needs=("health",), after=("host",)),
    Check(name="credentials", part=Part.ACCESS, run=access.credentials, needs=("health",), after=("host",)),
    Check(name="doors", part=Part.ACCESS, run=doors.doors, needs=("version",), after=("credentials",)),
    Check(name="forwarding", part=Part.SERVER, run=doors.forwarding, needs=("health",)),
    Check(name="components", part=Part.SERVER, run=plugin.components, needs=("health",)),
    Check(name="schema", part=Part.DATABASE, run=schema_check.schema, needs=("version",)),
    Check(name="ready", part=Part.DATABASE, run=plugin.ready, needs=("health",)),
    Check(name="database", part=Part.DATABASE, run=tracking.database, needs=("health",), after=("host",)),
    Check(name="experiment", part=Part.DATABASE, run=tracking.experiment, needs=("database",)),
    Check(name="experiment-search", part=Part.DATABASE, run=tracking.experiment_search, needs=("experiment",)),
    Check(name="run", part=Part.DATABASE, run=tracking.run, needs=("experiment",)),
    Check(name="log-metric", part=Part.DATABASE, run=tracking.log_metric, needs=("run",)),
    Check(name="log-parameter", part=Part.DATABASE, run=tracking.log_parameter, needs=("run",)),
    Check(name="log-batch", part=Part.DATABASE, run=tracking.log_batch, needs=("run",)),
    Check(name="log-batch-large", part=Part.DATABASE, run=tracking.log_batch_large, needs=("run",)),
    Check(name="log-inputs", part=Part.DATABASE, run=tracking.log_inputs, needs=("run",)),
    Check(name="run-update", part=Part.DATABASE, run=tracking.run_update, needs=LOGGED),
    Check(name="run-get", part=Part.DATABASE, run=tracking.run_get, needs=("run-update",)),
    Check(name="run-search", part=Part.DATABASE, run=tracking.run_search, needs=("run-update",)),
    Check(name="metric-history", part=Part.DATABASE, run=tracking.metric_history, needs=("log-metric", "log-batch")),
    Check(name="default-experiment", part=Part.DATABASE, run=tracking.default_experiment, needs=("run",)),
    Check(name="registered-models", part=Part.DATABASE, run=tracking.registered_models, needs=("database",)),
    Check(name="model", part=Part.DATABASE, run=registry.model, needs=("registered-models", "run")),
    Check(name="model-update", part=Part.DATABASE, run=registry.model_update, needs=("model",)),
    Check(name="model-alias", part=Part.DATABASE, run=registry.model_alias, needs=("model-update",)),
    Check(name="artifact", part=Part.ARTIFACTS, run=artifacts.artifact, needs=("run",)),
    Check(name="redis", part=Part.CACHE, run=plugin.redis, needs=("health",)),
    Check(name="identity", part=Part.SERVER, run=identity.identity, needs=("health",), after=("host",)),
    Check(name="old-run", part=Part.DATABASE, run=older.old_run, needs=("database",)),
    Check(name="old-artifact", part=Part.ARTIFACTS, run=older.old_artifact, needs=("database",)),
    Check(name="ui", part=Part.UI, run=serving.ui, needs=("health",)),
)

FULL: Final[tuple[Check, ...]] = (
    *CORE,
    Check(name="clock", part=Part.SERVER, run=consistency.clock, needs=("experiment",)),
    Check(name="read-your-writes", part=Part.DATABASE, run=consistency.read_your_writes, needs=("run",)),
    Check(name="artifact-large", part=Part.ARTIFACTS, run=artifacts.artifact_large, needs=("artifact",)),
    Check(name="model-stage", part=Part.DATABASE, run=registry.model_stage, needs=("model",)),
    Check(name="model-delete", part=Part.DATABASE, run=registry.model_delete, needs=("model-alias", "model-stage")),
    Check(name="logged-model", part=Part.DATABASE, run=genai.logged_model, needs=("version", "run")),
    Check(name="trace", part=Part.DATABASE, run=genai.trace, needs=("version", "experiment")),
    Check(name="rights", part=Part.ACCESS, run=rights.rights, needs=("credentials", "experiment")),
)

CLIENT: Final[tuple[Check, ...]] = tuple(
    check for check in CORE if check.name in {"health", "version", "host", "credentials", "database", "experiment"}
)
"""What is asked before real clients go to work, so that a server that is down is explained; their own checks follow."""

PROFILES: Final[dict[str, tuple[Check, ...]]] = {
    "core": CORE,
    "full": FULL,
    "client": CLIENT,
}


def of_profile(profile: str, clients: tuple[str, ...] = ()) -> tuple[Check, ...]:
    """The checks of a profile; of the profile `client` those of each of these versions of MLflow's client too.

    Raises `UsageError`.
    """
    if profile not in PROFILES:
        raise UsageError(f"profile {profile}: not known. Known are: {', '.join(PROFILES)}", code="profile-unknown")
    if profile != "client":
        return PROFILES[profile]
    return (*CLIENT, *(check for version in dict.fromkeys(clients) for check in run.checks_of(version)))


def chosen(checks: tuple[Check, ...], only: tuple[str, ...]) -> tuple[Check, ...]:
    """The checks that are named, and all that they need; all if none is named.

    Raises `UsageError`.
    """
    require_known(checks, only)
    if not only:
        return checks
    by_name = {check.name: check for check in checks}
    wanted: set[str] = set()
    todo = list(only)
    while todo:
        name = todo.pop()
        if name not in wanted:
            wanted.add(name)
            todo += by_name[name].needs
    return tuple(check for check in checks if check.name in wanted)


def require_known(checks: tuple[Check, ...], names: tuple[str, ...]) -> None:
    """Refuse names that are no check of the profile.

    Raises `UsageError`.
    """
    unknown = sorted(set(names) - {check.name for check in checks})
    if unknown:
        raise UsageError(
            f"{', '.join(unknown)}: no such check. Known are: {', '.join(check.name for check in checks)}",
            code="check-unknown",
        )
