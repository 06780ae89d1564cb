"""Rules between settings: each is a function from valid settings to the problems that it finds.

What a target cannot do is not said here: each target refuses that itself.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic.alias_generators import to_camel

from mlflow_backend import schedules, targets
from mlflow_backend.saved_values import used_in
from mlflow_backend.server import (
    LEAST_CONNECTIONS,
    AccessControl,
    abilities,
    flag_problem,
    memory_need_mib,
    parse_version,
)
from mlflow_backend.settings.aws import Aws
from mlflow_backend.settings.budget import connection_budget, most_replicas
from mlflow_backend.settings.eks import Eks
from mlflow_backend.settings.gcp import Gcp
from mlflow_backend.settings.kubernetes import Kubernetes
from mlflow_backend.settings.problems import Problem, shown_key
from mlflow_backend.settings.users import (
    kinds_of_permissions,
    names_of_users,
    permissions_of_roles,
    users_of_basic_auth,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlflow_backend.settings.models import Settings


def create_or_adopt(settings: Settings) -> Iterator[Problem]:
    """Hold `existing` and `mode` together: a name that is silently ignored would mislead its reader."""
    for section in ("database", "cache", "artifacts", "network"):
        part = getattr(settings, section)
        if (part.mode == "adopt") != (part.existing is not None):
            yield Problem(
                path=f"{section}.existing",
                finding="is missing" if part.existing is None else "names an existing one",
                rule=f"{section}.mode is {part.mode}",
                fix="Set the mode to adopt and name the existing one, or set it to create and name none.",
            )


def access_on_loopback_only(settings: Settings) -> Iterator[Problem]:
    """Refuse a server without access control that other machines can reach."""
    if settings.access.mode == "none" and not targets.get(settings.target).loopback:
        yield Problem(
            path="access.mode",
            finding="is none",
            rule=f"the target {settings.target} is reachable by others, and none is for loopback",
            fix="Set it to basic, token or cloudIdentity.",
        )


def databases_apart(settings: Settings) -> Iterator[Problem]:
    """Keep MLflow's users in a database of their own: both schemas in one would be migrated by the other's chain."""
    users, existing = AccessControl.database, settings.database.existing or ""
    if settings.access.mode == "basic" and urlsplit(existing).path == f"/{users}":
        yield Problem(
            path="database.existing",
            finding=f"names {users}",
            rule="with access.mode basic that is the database of MLflow's users, and tracking needs another",
            fix="Name another database.",
        )


def limits_of_keys(settings: Settings) -> Iterator[Problem]:
    """Refuse a limit of API keys if there are none: it would be ignored."""
    if settings.access.requests_per_minute and settings.access.mode != "token":
        yield Problem(
            path="access.requestsPerMinute",
            finding="is set",
            rule=f"it limits API keys, and access.mode is {settings.access.mode}",
            fix="Remove it, or set access.mode to token.",
        )


def shared_state(settings: Settings) -> Iterator[Problem]:
    """Keep all state outside the process as soon as there is more than one.

    The database, and MLflow's users with it, is shared by construction: nothing but Postgres is accepted.
    """
    alone = settings.server.workers * most_replicas(settings) == 1
    if not alone and (settings.artifacts.existing or "").startswith("/"):
        yield Problem(
            path="artifacts.existing",
            finding="is a path on one machine",
            rule="more than one replica or worker needs a shared artifact store",
            fix="Use s3:// or gs://, or one replica with one worker.",
        )


def jobs_on_redis(settings: Settings) -> Iterator[Problem]:
    """Refuse jobs if MLflow's queue would be a file in one container, which is lost with it."""
    if settings.server.jobs and not abilities(parse_version(settings.server.mlflow_version)).jobs_on_redis:
        yield Problem(
            path="server.jobs",
            finding="is true",
            rule=f"MLflow {settings.server.mlflow_version} cannot keep its job queue on Redis; 3.16.0 and newer can",
            fix="Set it to false, or choose a newer server.mlflowVersion.",
        )


def extra_flags(settings: Settings) -> Iterator[Problem]:
    """Pass on only flags that are the user's to set and that hold no password."""
    for name, value in settings.server.extra_flags.items():
        if problem := flag_problem(name, value=value):
            yield Problem(
                path=f"server.extraFlags.{shown_key(name)}",
                finding=problem,
                rule="extra flags are passed on to `mlflow server` as they are",
                fix="Remove or correct it.",
            )


def origins(settings: Settings) -> Iterator[Problem]:
    """Refuse origins if MLflow knows none: its answers would not let a browser use them."""
    version = settings.server.mlflow_version
    if settings.access.origins and not abilities(parse_version(version)).host_check:
        yield Problem(
            path="access.origins",
            finding="is set",
            rule=f"MLflow {version} lets no other origin in; 3.5.0 and newer can",
            fix="Remove it, or choose a newer server.mlflowVersion.",
        )


def replica_range(settings: Settings) -> Iterator[Problem]:
    """Let scaling start from the replicas asked for."""
    most = settings.scaling.max_replicas
    if most is not None and most < settings.server.replicas:
        yield Problem(
            path="scaling.maxReplicas",
            finding=f"is {most}",
            rule=f"server.replicas is {settings.server.replicas}, and the most cannot be less",
            fix="Raise it, or lower server.replicas.",
        )


def enough_memory(settings: Settings) -> Iterator[Problem]:
    """Give a replica what its processes were measured to need."""
    server = settings.server
    need = memory_need_mib(abilities(parse_version(server.mlflow_version)), workers=server.workers, jobs=server.jobs)
    if server.memory is not None and server.memory < need:
        yield Problem(
            path="server.memory",
            finding=f"is {server.memory} MiB",
            rule=f"{server.workers} worker(s){' and jobs' if server.jobs else ''} need {need} MiB, as measured",
            fix="Raise it, or lower server.workers.",
        )


def connections(settings: Settings) -> Iterator[Problem]:
    """Refuse what the database would refuse later, under load."""
    budget = connection_budget(settings)
    if not budget.fits:
        yield Problem(
            path="database.maxConnections",
            finding=f"is {budget.available}, but {budget.needed} connections may be open at once",
            rule=budget.arithmetic,
            fix=f"Raise it to {budget.needed}, or lower server.workers, server.replicas or database.poolSize.",
        )


def connections_of_a_request(settings: Settings) -> Iterator[Problem]:
    """Refuse a pool in which a single request waits for itself until SQLAlchemy gives up after 30 seconds."""
    database = settings.database
    most = database.pool_size + database.max_overflow
    if most < LEAST_CONNECTIONS:
        yield Problem(
            path="database.poolSize",
            finding=f"is {database.pool_size}, and with maxOverflow {database.max_overflow} an engine has {most}",
            rule=f"one request of MLflow takes up to {LEAST_CONNECTIONS} connections at once",
            fix="Leave both out: 5 and 10 are the defaults.",
        )


def port_on_loopback(settings: Settings) -> Iterator[Problem]:
    """Refuse a port if it follows from something else."""
    if settings.server.port is not None and not targets.get(settings.target).loopback:
        yield Problem(
            path="server.port",
            finding="is set",
            rule=f"the port of the target {settings.target} follows from network.publicUrl",
            fix="Remove it.",
        )


def platform_of_target(settings: Settings) -> Iterator[Problem]:
    """Refuse a platform's section if the target runs on another one: it would be ignored."""
    for platform, default in (
        ("aws", Aws()),
        ("eks", Eks()),
        ("gcp", Gcp()),
        ("kubernetes", Kubernetes()),
    ):
        if getattr(settings, platform) != default and platform not in targets.get(settings.target).platforms:
            yield Problem(
                path=platform,
                finding="is set",
                rule=f"the target {settings.target} is not on that platform",
                fix="Remove it.",
            )


def pinned_where_protected(settings: Settings) -> Iterator[Problem]:
    """Keep a stack that holds what nobody may lose from serving whatever a tag means at the next update.

    Whoever may push to the registry moves a tag; a digest comes in by a reviewed change of the stack's file.
    """
    image, shared = settings.server.image, not targets.get(settings.target).loopback
    if shared and settings.backup.protect is not False and image and "@sha256:" not in image:
        yield Problem(
            path="server.image",
            finding="is named by a tag",
            rule="what it protects (backup.protect) may be served by a reviewed image only, and a tag can be moved",
            fix="Set it to REPOSITORY@sha256:..., which the workflow `image` shows at its end.",
        )


def artifacts_fit(settings: Settings) -> Iterator[Problem]:
    """Refuse a limit on artifacts that the temporary folder would never let anybody reach."""
    if settings.server.max_artifact_mib > settings.server.temporary_mib:
        yield Problem(
            path="server.maxArtifactMib",
            finding=f"is {settings.server.max_artifact_mib}",
            rule=f"uploads pass the temporary folder, and server.temporaryMib is {settings.server.temporary_mib}",
            fix="Raise server.temporaryMib, to twice this value for MLflow before 3.5, or lower it.",
        )


def extra_checks(settings: Settings) -> Iterator[Problem]:
    """Refuse a check of the user's own that cannot be sent, or that uses what no check before it saves."""
    saved: set[str] = set()
    for index, check in enumerate(settings.verify.extra_checks):
        path = f"verify.extraChecks.{index}"
        if check.upload is not None and check.body is not None:
            yield Problem(
                path=f"{path}.upload",
                finding="stands beside a body",
                rule="a request has one of the two",
                fix="Remove one, or make two checks.",
            )
        if (check.upload is not None or check.body is not None) and check.method not in {"POST", "PUT"}:
            yield Problem(
                path=f"{path}.method",
                finding=f"is {check.method}",
                rule="a body or a file is sent by POST or PUT",
                fix="Set it to POST or PUT.",
            )
        text = check.upload.text if check.upload else ""
        unsaved = sorted(used_in(check.path, json.dumps(check.body), text) - saved)
        if unsaved:
            yield Problem(
                path=path,
                finding=f"uses {', '.join(unsaved)}",
                rule="a value is saved by a check that stands before",
                fix="Add it to `save` of the check whose answer has it, or correct the name.",
            )
        saved |= set(check.save)


def backups_that_can_be_opened(settings: Settings) -> Iterator[Problem]:
    """Refuse backups that nobody could restore once the stack is lost, and a key that seals nothing."""
    backup = settings.backup
    if backup.destination is not None and backup.recovery_key is None:
        yield Problem(
            path="backup.recoveryKey",
            finding="is missing",
            rule="backup.destination is set, and the stack's own key is lost with the stack",
            fix="Run `python -m scripts.backup new-key FILE`, set what it prints, and keep the file elsewhere.",
        )
    if backup.destination is None and backup.recovery_key is not None:
        yield Problem(
            path="backup.destination",
            finding="is missing",
            rule="backup.recoveryKey is for the backups there",
            fix="Set it, or remove backup.recoveryKey.",
        )


def maintenance_by_this_target(settings: Settings) -> Iterator[Problem]:
    """Refuse settings of a maintenance that nothing does elsewhere: they would be ignored."""
    if settings.maintain != type(settings.maintain)() and targets.get(settings.target).maintenance is None:
        yield Problem(
            path="maintain",
            finding="is set",
            rule=f"no backend on the target {settings.target} is maintained by this project",
            fix="Remove it (docs/runbooks/maintenance.md says what its platform does).",
        )


def verified_by_this_target(settings: Settings) -> Iterator[Problem]:
    """Refuse a schedule of verifications that nothing can do: it would be ignored, or each one would fail."""
    if settings.verify.schedule in {None, schedules.NEVER}:
        return
    if why := targets.get(settings.target).unverified_between_updates(settings):
        yield Problem(
            path="verify.schedule",
            finding="is set",
            rule=why,
            fix="Remove it, and let a workflow run `python -m scripts.verify --stack STACK`.",
        )


def schedules_of_backups(settings: Settings) -> Iterator[Problem]:
    """Refuse a schedule of backups that go nowhere: it would be ignored."""
    backup, default = settings.backup, type(settings.backup)()
    for field in ("schedule", "drill_schedule"):
        if backup.destination is None and getattr(backup, field) not in {getattr(default, field), schedules.NEVER}:
            yield Problem(
                path=f"backup.{to_camel(field)}",
                finding="is set",
                rule="it is for the backups at backup.destination, which is not set",
                fix="Set backup.destination, or remove it.",
            )


RULES: tuple[Callable[[Settings], Iterator[Problem]], ...] = (
    create_or_adopt,
    access_on_loopback_only,
    databases_apart,
    limits_of_keys,
    users_of_basic_auth,
    names_of_users,
    kinds_of_permissions,
    permissions_of_roles,
    shared_state,
    jobs_on_redis,
    extra_flags,
    origins,
    replica_range,
    enough_memory,
    connections,
    connections_of_a_request,
    port_on_loopback,
    platform_of_target,
    pinned_where_protected,
    artifacts_fit,
    extra_checks,
    backups_that_can_be_opened,
    schedules_of_backups,
    maintenance_by_this_target,
    verified_by_this_target,
)


def broken_rules(settings: Settings) -> list[Problem]:
    """Return every problem that the rules find in `settings`."""
    return [problem for rule in RULES for problem in rule(settings)]
