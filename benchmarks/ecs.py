"""The ecs target, without AWS: rendering a whole stack, and planning a rollback among a thousand revisions."""

from __future__ import annotations

import logging
import os
import statistics
from typing import TYPE_CHECKING, Any

from benchmarks.row import Row, seconds
from mlflow_backend.aws.connection import Connection
from mlflow_backend.aws.render import alarms, balancer, cache, database, network, policies, storage
from mlflow_backend.ecs import refusals
from mlflow_backend.ecs.history import EcsHistory, ServiceName
from mlflow_backend.ecs.render import containers, service
from mlflow_backend.ecs.render import policies as ecs_policies
from mlflow_backend.releases.plan import Request, plan
from mlflow_backend.releases.status import RollbackContext
from mlflow_backend.schema import Heads
from mlflow_backend.schema_tables import schema_table
from tests.components.ecs.stacks import naming_of, settings_of, store_of, tasks_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_RENDER_RUNS = 200
_PLAN_RUNS = 5
_REVISIONS = 1000
_VERSIONS = ("3.4.0", "3.17.2")
_REGION = "eu-west-1"


def measure() -> Iterator[Row]:
    """Measure both."""
    yield rendering()
    yield planning()


def rendering() -> Row:
    """Render everything that the stack `staging` consists of, from settings that are already read."""
    settings, naming, store = settings_of("staging"), naming_of("staging"), store_of("staging")

    def whole() -> None:
        refusals.refuse_unsupported(settings)
        network.network_plan(settings)
        network.rules(settings)
        balancer.listeners(settings)
        balancer.timeouts(settings.server.request_timeout)
        plan_of_database = database.database_plan(settings)
        cache.cache_plan(settings)
        service.scaling(settings)
        storage.data_lifecycle(settings)
        storage.logs_lifecycle(settings)
        for document in (
            policies.server(naming, store),
            policies.database_tasks(naming, store),
            policies.data_bucket(naming, store, server_role_arn=naming.role_arn("server")),
            policies.key(naming, log_group_arns=[naming.log_group_arn("server")]),
            ecs_policies.execution(naming, secrets=["a"], keys=["k"], log_group="g", repository_arn="r"),
        ):
            policies.text(document)
        tasks_of("staging", settings=settings)
        watched = alarms.alarms(
            cluster=naming.cluster(), database=plan_of_database, cache=True, certificate=True, scheduled=()
        )
        parts = {"balancer": "b", "targets": "t", "certificate": "a", "database": "d", "cache": "c"}
        alarms.dashboard(region=naming.region, identifiers=parts, found=watched)

    taken = sorted(seconds(whole) * 1000 for _ in range(_RENDER_RUNS))
    figures = f"median of {_RENDER_RUNS}; slowest {taken[-1]:.1f} ms"
    return Row(what="ecs: render a whole stack", value=statistics.median(taken), unit="ms", limit=20, figures=figures)


def planning() -> Row:
    """List a thousand revisions over HTTP and plan a rollback, against moto; the ledger is in memory."""
    # Development tools, which only this measurement needs.
    from moto.server import ThreadedMotoServer  # noqa: PLC0415

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    before = dict(os.environ)
    os.environ.update(
        AWS_ENDPOINT_URL=f"http://{host}:{port}", AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b",  # noqa: S106
    )  # fmt: skip
    try:
        history = _thousand()
        table = schema_table()

        def listed_and_planned() -> None:
            context = RollbackContext(
                target="ecs",
                current=str(_REVISIONS),
                revisions=history.revisions(),
                live=Heads(tracking=(table.required(_VERSIONS[-1]) or Heads(tracking=None)).tracking),
                table=table,
            )
            plan(context, Request(to=str(_REVISIONS - 1)))

        taken = [seconds(listed_and_planned) for _ in range(_PLAN_RUNS)]
    finally:
        os.environ.clear()
        os.environ.update(before)
        server.stop()
    return Row(
        what="ecs: list 1,000 revisions and plan",
        value=statistics.median(taken),
        unit="s",
        limit=2,
        figures=f"median of {_PLAN_RUNS}, moto over HTTP; slowest {max(taken):.2f} s",
    )


def _thousand() -> EcsHistory:
    from mlflow_backend.aws.clients import connect  # noqa: PLC0415 - after the endpoint is set

    clients = connect(Connection(_REGION))
    for _ in range(_REVISIONS):
        container: Any = {
            "name": "server",
            "image": "r/mlflow@sha256:a",
            "memory": 512,
            "dockerLabels": {containers.VERSION_LABEL: _VERSIONS[-1]},
        }
        clients.ecs.register_task_definition(family="mlflow", containerDefinitions=[container])
    clients.ecs.create_cluster(clusterName="backend")
    clients.ecs.create_service(
        cluster="backend", serviceName="server", taskDefinition=f"mlflow:{_REVISIONS}", desiredCount=1
    )
    return EcsHistory(clients=clients, name=ServiceName(region=_REGION, cluster="backend", service="server"))
