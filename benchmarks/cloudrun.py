"""The target cloudrun, without Google: rendering all documents."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Final

from benchmarks.row import Row, seconds
from mlflow_backend.cloudrun import refusals
from mlflow_backend.cloudrun.render import jobs, service
from mlflow_backend.cloudrun.render.service import Traffic
from mlflow_backend.gcp.render import alerts, cache, database, identity, network, secrets, storage
from tests.components.cloudrun import stacks
from tests.components.cloudrun.stacks import NAMING

if TYPE_CHECKING:
    from collections.abc import Iterator

_RENDER_RUNS: Final = 200


def measure() -> Iterator[Row]:
    """Measure it."""
    yield rendering()


def rendering() -> Row:
    """Render every document of a stack, from settings that are already read."""
    settings = stacks.changed("basic", {})
    drawn, vpc = stacks.surroundings(settings), network.network_name(NAMING, "n")

    def whole() -> None:
        refusals.refuse_unsupported(settings)
        release = service.release_identity(settings, NAMING)
        service.service(settings, NAMING, drawn, release=release, traffic=Traffic())
        jobs.database_job(settings, NAMING, drawn)
        jobs.verify_job(settings, NAMING, drawn)
        network.network(NAMING)
        network.subnet(settings, NAMING, network=vpc)
        network.services_range(NAMING, network=vpc)
        database.instance(settings, NAMING, network=vpc)
        cache.instance(settings, NAMING, network=vpc)
        storage.bucket(settings, NAMING, protect=True)
        secrets.secret(settings, NAMING)
        identity.grants(storage.store(settings, NAMING), {identity.SERVER: secrets.names(settings)})
        for alert in alerts.alerts(settings, NAMING, least=1):
            alerts.policy(alert, settings, NAMING, channels=[])

    taken = sorted(seconds(whole) * 1000 for _ in range(_RENDER_RUNS))
    return Row(
        what="cloudrun: render all documents",
        value=statistics.median(taken),
        unit="ms",
        limit=20,
        figures=f"median of {_RENDER_RUNS}; slowest {taken[-1]:.1f} ms",
    )
