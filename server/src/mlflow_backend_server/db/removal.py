"""The removal for good of what users deleted long ago and what verifications left: MLflow's deletes only mark it.

`mlflow gc` does the same by the same functions of MLflow's store, but ends at the first run whose artifacts it cannot
delete, and takes the files of a registered model's version along with the run that made them. This goes on, keeps what
a version uses, and lists what it kept with the reason.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mlflow_backend_server.db.addresses import TRACKING_VARIABLE
from mlflow_backend_server.db.verdicts import ExitCode, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg2.extensions import connection as Connection

#: So many deletions of artifacts may fail one after another: a store that is away costs each a time-out.
MOST_FAILURES = 3
_DAY_MS = 24 * 3600 * 1000
_RUNS = """
    SELECT r.run_uuid, r.artifact_uri FROM runs r JOIN experiments e USING (experiment_id)
    WHERE r.lifecycle_stage = 'deleted'
      AND (r.deleted_time < %(before)s OR (e.lifecycle_stage = 'deleted' AND starts_with(e.name, %(at_once)s)))
    ORDER BY r.run_uuid
"""
_MODELS = """
    SELECT model_id, artifact_location FROM logged_models
    WHERE lifecycle_stage = 'deleted' AND last_updated_timestamp_ms < %(before)s
"""
_EXPERIMENTS = """
    SELECT experiment_id, artifact_location FROM experiments e
    WHERE lifecycle_stage = 'deleted' AND experiment_id <> 0
      AND (last_update_time < %(before)s OR starts_with(name, %(at_once)s))
"""
_RUNS_OF = "SELECT run_uuid FROM runs WHERE experiment_id = %s"
_MODELS_OF = "SELECT model_id, artifact_location FROM logged_models WHERE experiment_id = %s"
# MLflow keeps a deleted version's row under this stage.
_USERS = """
    SELECT name, version FROM model_versions
    WHERE current_stage IS DISTINCT FROM 'Deleted_Internal' AND (run_id = %(id)s OR source = %(model)s
      OR starts_with(coalesce(storage_location, ''), %(location)s) OR starts_with(source, %(location)s))
"""
# Which datasets were the inputs of a run: no foreign key leads there, and MLflow leaves the rows.
_INPUTS = (
    "DELETE FROM input_tags WHERE input_uuid IN (SELECT input_uuid FROM inputs WHERE destination_id = %s)",
    "DELETE FROM inputs WHERE destination_id = %s",
)
# Below an experiment's own location, beside its runs.
_FOLDERS = ("models", "traces")
_MISSING = 404
# Asked right before each is removed: somebody may have restored it since it was chosen.
_STILL_DELETED = {
    "runs": "SELECT 1 FROM runs WHERE run_uuid = %s AND lifecycle_stage = 'deleted'",
    "logged models": "SELECT 1 FROM logged_models WHERE model_id = %s AND lifecycle_stage = 'deleted'",
    "experiments": "SELECT 1 FROM experiments WHERE experiment_id = %s AND lifecycle_stage = 'deleted'",
}
# MLflow's own functions, which its `gc` calls.
_DELETES = {
    "runs": "_hard_delete_run",
    "logged models": "_hard_delete_logged_model",
    "experiments": "_hard_delete_experiment",
}


@dataclass(kw_only=True)
class Removed:
    """What was removed, or would be: how many of each kind; what was kept, by its name, with the reason."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_DELETES, 0))
    kept: dict[str, str] = field(default_factory=dict)


class Artifacts:
    """Deletes artifacts as MLflow's clients do: through the server that MLFLOW_TRACKING_URI names."""

    def __init__(self) -> None:
        """Count no failure yet."""
        # MLflow's own patience is seven tries of minutes each, and the next run of this takes what is left.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        self._failures = 0

    def delete(self, location: str, *folders: str) -> str | None:
        """Delete what is at a location, or in folders below it; return why it cannot be, None if nothing is left."""
        if self._failures >= MOST_FAILURES:
            return f"the deletion of artifacts failed {MOST_FAILURES} times before"
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        try:
            repository = get_artifact_repository(location)
            for folder in folders or (None,):
                self._delete(repository, folder)
        except Exception as error:  # noqa: BLE001 - each kind of store has errors of its own
            self._failures += 1
            return f"its artifacts cannot be deleted: {type(error).__name__}{_status(error)}"
        self._failures = 0
        return None

    @staticmethod
    def _delete(repository: Any, folder: str | None) -> None:
        try:
            repository.delete_artifacts(folder)
        except Exception as error:
            if getattr(getattr(error, "response", None), "status_code", None) != _MISSING:
                raise


def _status(error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return "" if status is None else f" ({status})"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is removed: what was deleted more than `days` ago, and deleted experiments of names that begin `at_once`.

    `dry_run` only says so.
    """

    days: float
    at_once: str
    dry_run: bool


class Removal:
    """One removal in the tracking database, whose schema is at the head of the installed MLflow."""

    def __init__(self, connection: Connection, choice: Choice) -> None:
        """Name the database and what is chosen; nothing is read yet."""
        self._connection, self._dry_run = connection, choice.dry_run
        self._chosen = {"before": int(time.time() * 1000 - choice.days * _DAY_MS), "at_once": choice.at_once}
        self._artifacts, self._found = Artifacts(), Removed()

    @cached_property
    def _store(self) -> Any:
        return mlflow_store()

    @cached_property
    def _has_models(self) -> bool:
        return bool(self._ask("SELECT to_regclass('logged_models') IS NOT NULL")[0][0])

    def run(self) -> Removed:
        """Remove it; return what was removed and what was kept. Raises ToolError if MLflow does not open its store."""
        runs = self._ask(_RUNS, self._chosen)
        for run_id, location in runs:
            self._remove("runs", f"run {run_id}", run_id, location)
        for model_id, location in self._ask(_MODELS, self._chosen) if self._has_models else []:
            self._remove("logged models", f"logged model {model_id}", model_id, location)
        gone = {run_id for run_id, _ in runs if f"run {run_id}" not in self._found.kept}
        for experiment_id, location in self._ask(_EXPERIMENTS, self._chosen):
            self._experiment(experiment_id, location, gone)
        return self._found

    def _remove(self, kind: str, name: str, identifier: str, location: str) -> None:
        if (reason := self._used(identifier, location)) is not None:
            self._found.kept[name] = reason
        else:
            self._forget(kind, name, identifier, lambda: self._artifacts.delete(location))

    def _experiment(self, experiment_id: int, location: str, gone: set[str]) -> None:
        name = f"experiment {experiment_id}"
        left = sum(run_id not in gone for (run_id,) in self._ask(_RUNS_OF, (experiment_id,)))
        models = self._ask(_MODELS_OF, (experiment_id,)) if self._has_models else []
        reasons = [f"{left} of its runs are kept"] if left else [self._used(model, at) for model, at in models]
        if reason := next(filter(None, reasons), None):
            self._found.kept[name] = reason
            return
        # Another location than its own was given by a user, and others may keep their artifacts there.
        own = location.rstrip("/").rsplit("/", 1)[-1] == str(experiment_id)
        folders = _FOLDERS if own else ()
        self._forget(
            "experiments",
            name,
            str(experiment_id),
            lambda: self._artifacts.delete(location, *folders) if folders else None,
        )

    def _forget(self, kind: str, name: str, identifier: str, delete: Callable[[], str | None]) -> None:
        """Delete the artifacts, then the rows: what was killed between the two is found again."""
        if not self._dry_run:
            if not self._ask(_STILL_DELETED[kind], (identifier,)):
                self._found.kept[name] = "it was restored"
                return
            if (reason := delete()) is not None:
                self._found.kept[name] = reason
                return
            try:
                getattr(self._store, _DELETES[kind])(identifier)
            except ToolError:
                raise
            except Exception as error:  # noqa: BLE001 - MLflow's and SQLAlchemy's; the others can still be removed
                self._found.kept[name] = f"MLflow does not remove it: {type(error).__name__}"
                return
            for statement in _INPUTS if kind == "runs" else ():
                self._do(statement, (identifier,))
        self._found.counts[kind] += 1

    def _used(self, identifier: str, location: str) -> str | None:
        """Return the sentence for the first version of a registered model that needs something."""
        values = {"id": identifier, "model": f"models:/{identifier}", "location": f"{location.rstrip('/')}/"}
        users = self._ask(_USERS, values)
        return f"version {users[0][1]} of the registered model {users[0][0]} is of it" if users else None

    def _ask(self, statement: str, values: Any = None) -> list[Any]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall())

    def _do(self, statement: str, values: Any) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values)


def mlflow_store() -> Any:
    """Return MLflow's own store of the tracking database. Raises ToolError FAILED if it does not open."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    try:
        return SqlAlchemyStore(os.environ[TRACKING_VARIABLE], "mlflow-artifacts:/")
    except Exception as error:  # noqa: BLE001 - as above
        finding = f"MLflow does not open the tracking database: {type(error).__name__}."
        raise ToolError(ExitCode.FAILED, finding, "Update the stack, and repeat.") from None
