"""Puts one worker's application together: MLflow's own and the front around it, by what the installed MLflow has."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
from typing import TYPE_CHECKING, Any

from mlflow_backend_server.access.basic import remember
from mlflow_backend_server.access.sources import KeyRing, reader
from mlflow_backend_server.db import addresses
from mlflow_backend_server.db.chains import installed_package, installed_version, read_chains
from mlflow_backend_server.front import BasicAuth, Front
from mlflow_backend_server.health.artifacts import reading
from mlflow_backend_server.health.board import Board
from mlflow_backend_server.health.components import components
from mlflow_backend_server.health.identity import OBJECT, Identities
from mlflow_backend_server.health.readiness import Readiness
from mlflow_backend_server.health.states import State
from mlflow_backend_server.health.tables import expected
from mlflow_backend_server.http.record import Recorder
from mlflow_backend_server.http.routes import Routes
from mlflow_backend_server.settings import Access, Settings

if TYPE_CHECKING:
    from mlflow_backend_server.db.chains import Chain
    from mlflow_backend_server.http.metrics import Metrics


def application(settings: Settings) -> Any:
    """Return the application of this worker, ASGI under uvicorn and WSGI under gunicorn.

    Raises what MLflow raises, KeyFileError or OSError for API keys that cannot be read, ToolError for databases that
    the environment does not name.
    """
    databases = addresses.from_environment(os.environ)
    chains = read_chains(installed_package())
    parts = tuple((address, chains[name]) for name, address in databases.items())
    asgi = os.environ.get("_MLFLOW_SGI_NAME") == "uvicorn"
    inner, basic = _mlflow(settings, asgi=asgi)
    ring = KeyRing(reader(settings.api_keys)) if settings.access is Access.TOKEN else None
    if ring is not None:
        ring.keep_fresh()
    front = Front(
        settings=settings,
        board=Board(
            components(settings, databases, ring, tables={name: expected(name) for name, _ in databases.items()})
        ),
        readiness=Readiness(parts),
        identities=Identities(databases, reading(settings.artifacts, OBJECT)),
        ring=ring,
        rate=_rate(settings),
        basic=basic,
    )
    if settings.jobs:
        from mlflow_backend_server.periodic import elect

        elect(databases.tracking, os.environ)
    flask_app = importlib.import_module("mlflow.server").app
    routes = Routes(flask_app, _native_routes(inner) if asgi else [])
    recorder = Recorder(
        template=routes.template,
        metrics=_metrics(settings, front.board, tuple(chain for _, chain in parts)),
        log=settings.access_log,
    )
    if not asgi:
        from mlflow_backend_server.http.wsgi import WsgiFront

        return WsgiFront(inner, front, recorder)
    from mlflow_backend_server.http.asgi import AsgiFront
    from mlflow_backend_server.http.direct import Direct, can_go_direct, secure

    _quiet_uvicorn(settings)
    if can_go_direct(inner):
        secure(flask_app)
        inner = Direct(flask_app, inner, routes)
    return AsgiFront(inner, front, recorder)


def _native_routes(fastapi_app: Any) -> list[Any]:
    """Return FastAPI's routes without the mounted Flask application."""
    mount = importlib.import_module("starlette.routing").Mount
    return [route for route in fastapi_app.routes if not isinstance(route, mount)]


def _mlflow(settings: Settings, *, asgi: bool) -> tuple[Any, BasicAuth | None]:
    """Return MLflow's own application for this stack and access, and its basic auth where that is wanted."""
    if settings.access is Access.BASIC:
        auth = importlib.import_module("mlflow.server.auth")
        inner = auth.create_app()
        hold_administrator(auth.store, auth.auth_config)
        remember(auth.store, seconds=settings.auth_cache_s)
        # Under FastAPI, releases before this function existed left their native routes (traces) open to everyone.
        guarded = not asgi or hasattr(auth, "add_fastapi_permission_middleware")
        return inner, BasicAuth(
            valid=auth.store.authenticate_user, unprotected=auth.is_unprotected_route, guards_every_route=guarded
        )
    if asgi:
        return importlib.import_module("mlflow.server.fastapi_app").app, None
    return importlib.import_module("mlflow.server").app, None


def hold_administrator(store: Any, config: Any) -> None:
    """Give the administrator the password of the environment: MLflow reads it only when it makes him.

    Without this, a password that was rotated in its secret would let nobody in.
    """
    name, password = config.admin_username, config.admin_password
    if name and password and not store.authenticate_user(name, password):
        store.update_user(name, password=password)


def _rate(settings: Settings) -> Any:
    if not settings.requests_per_minute:
        return None
    from mlflow_backend_server.access.limits import RateLimit

    return RateLimit(settings.redis_url, settings.requests_per_minute)


def _metrics(settings: Settings, board: Board, chains: tuple[Chain, ...]) -> Metrics | None:
    if not settings.metrics_port:
        return None
    from mlflow_backend_server.http.metrics import Metrics

    metrics = Metrics(settings, version=installed_version())
    for chain in chains:
        metrics.head.labels(chain.name, chain.head).set(1)

    def refresh(metrics: Metrics) -> None:
        for name, finding in board.look()[0].items():
            if finding.state is not State.OFF:
                metrics.component.labels(name).set(finding.state is State.OK)
        for state, count in _pool().items():
            metrics.pool.labels(state).set(count)

    metrics.run(refresh)
    return metrics


def _pool() -> dict[str, int]:
    """Return the connections of MLflow's pool in this process, nothing before its first use."""
    handlers = importlib.import_module("mlflow.server.handlers")
    store = getattr(handlers, "_tracking_store", None)
    pool = getattr(getattr(store, "engine", None), "pool", None)
    if pool is None or not hasattr(pool, "checkedout"):
        return {}
    return {"in_use": pool.checkedout(), "idle": pool.checkedin()}


def _quiet_uvicorn(settings: Settings) -> None:
    """Take uvicorn's own access log away where ours is on: it costs as much as the rest of the plugin together."""
    if settings.access_log:
        logger = logging.getLogger("uvicorn.access")
        logger.handlers.clear()
        logger.propagate = False
