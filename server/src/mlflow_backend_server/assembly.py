"""The application of one worker, put together: MLflow's own and the filter around it, by what MLflow has."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import logging
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow_backend_server.access import hooks, origins
from mlflow_backend_server.access.cache import Cache
from mlflow_backend_server.access.config import AUTHORIZATION, FILE_VARIABLE, JOB_TOKEN, PASSWORD_VARIABLE
from mlflow_backend_server.access.guesses import SharedGuesses
from mlflow_backend_server.access.limits import RateLimit
from mlflow_backend_server.access.passwords import Passwords
from mlflow_backend_server.access.permissions import Permissions
from mlflow_backend_server.access.routes import table_of
from mlflow_backend_server.access.sources import KeyRing, reader
from mlflow_backend_server.db import addresses
from mlflow_backend_server.db.chains import installed_package, installed_version, read_chains
from mlflow_backend_server.degraded import DegradedLog
from mlflow_backend_server.figures.databases import DatabaseFigures, Part
from mlflow_backend_server.health.artifacts import reading
from mlflow_backend_server.health.board import Board
from mlflow_backend_server.health.components import components, job_runners
from mlflow_backend_server.health.identity import OBJECT, Identities
from mlflow_backend_server.health.keys import encrypts
from mlflow_backend_server.health.readiness import Readiness
from mlflow_backend_server.health.states import Component, State
from mlflow_backend_server.health.tables import expected
from mlflow_backend_server.http.copies import watch
from mlflow_backend_server.http.record import Recorder
from mlflow_backend_server.http.routes import Routes
from mlflow_backend_server.request_filter import RequestFilter, Users
from mlflow_backend_server.settings import Access, Settings, SettingsError
from mlflow_backend_server.temporary import Space

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend_server.db.addresses import Databases
    from mlflow_backend_server.http.metrics import Metrics

#: How many logins wait for a thread: under gunicorn each holds one of the worker's own, and health needs some.
_MOST_WAITING = {True: 64, False: 4}
_STORE_ABILITIES = frozenset({
    "multipart_uploads_enabled", "multipart_downloads_enabled",
    "presigned_upload_run_id_supported", "presigned_upload_model_id_supported",
})  # fmt: skip


def application(settings: Settings) -> Any:
    """Return the application of this worker, ASGI under uvicorn and WSGI under gunicorn.

    Raises what MLflow raises, KeyFileError or OSError for API keys that cannot be read, ToolError for databases that
    the environment does not name, RoutesError for a version whose routes were never recorded.
    """
    databases = addresses.from_environment(os.environ)
    chains = read_chains(installed_package())
    parts = tuple((address, chains[name]) for name, address in databases.items())
    asgi = os.environ.get("_MLFLOW_SGI_NAME") == "uvicorn"
    ring = KeyRing(reader(settings.api_keys)) if settings.access is Access.TOKEN else None
    if ring is not None:
        ring.keep_fresh()
    tables = {name: expected(name) for name, _ in databases.items()}
    space = Space(Path(tempfile.gettempdir()), settings.temporary_bytes)
    watch(space)
    temporary = Component(name="temporary", ask=space.ask)
    encrypted = encrypts(installed_package())
    board = Board((*components(settings, databases, ring, tables=tables, encrypts=encrypted), temporary))
    health = Health(
        board=board,
        readiness=Readiness(parts),
        identities=Identities(databases, reading(settings.artifacts, OBJECT), chains=chains),
        space=space,
    )
    inner, request_filter, routes = guarded(settings, health, ring, _cache(settings, databases), asgi=asgi)
    if settings.jobs:
        from mlflow_backend_server.periodic import elect

        elect(databases.tracking, os.environ)
    recorder = Recorder(
        template=routes.template,
        metrics=_metrics(
            settings,
            health,
            tuple(
                Part(address=address, chain=chains[name], tables=tables[name]) for name, address in databases.items()
            ),
        ),
        log=settings.access_log,
    )
    DegradedLog(board, space.folder, recorder.component).run()
    if ring is not None:
        ring.changed = recorder.keys_changed
    return filtered(inner, request_filter, recorder, routes, asgi=asgi)


@dataclass(frozen=True, kw_only=True)
class Health:
    """What answers the health routes, and the temporary space by which bodies are admitted."""

    board: Board
    readiness: Readiness
    identities: Identities
    space: Space


def guarded(
    settings: Settings, health: Health, ring: KeyRing | None = None, cache: Cache | None = None, *, asgi: bool
) -> tuple[Any, RequestFilter, Routes]:
    """Return MLflow's application with our checks in it, the request filter that belongs before it, and its routes."""
    table = table_of(installed_version())
    inner, auth = _mlflow(settings, asgi=asgi)
    flask_app = importlib.import_module("mlflow.server").app
    hooks.register(flask_app, Permissions(auth) if auth else None)
    routes = Routes(flask_app, _native_routes(inner) if asgi else [], table)
    request_filter = RequestFilter(
        settings=settings,
        board=health.board,
        readiness=health.readiness,
        identities=health.identities,
        ring=ring,
        rate=RateLimit(cache, settings.requests_per_minute) if cache and settings.requests_per_minute else None,
        users=_users(settings, auth, cache, asgi=asgi) if auth else None,
        route=routes.known,
        foreign=origins.foreign_by(os.environ),
        space=health.space,
    )
    return inner, request_filter, routes


def filtered(inner: Any, request_filter: RequestFilter, recorder: Recorder, routes: Routes, *, asgi: bool) -> Any:
    """Return the request filter as an application of this worker's kind."""
    if not asgi:
        from mlflow_backend_server.http.wsgi import WsgiFilter, refuse_underscores

        refuse_underscores(importlib.import_module("gunicorn.http.message").Message)
        return WsgiFilter(inner, request_filter, recorder)
    from mlflow_backend_server.http.asgi import AsgiFilter
    from mlflow_backend_server.http.direct import Direct, can_go_direct, secure

    _quiet_uvicorn(request_filter.settings)
    if can_go_direct(inner):
        flask_app = importlib.import_module("mlflow.server").app
        secure(flask_app)
        inner = Direct(flask_app, inner, routes)
    return AsgiFilter(inner, request_filter, recorder)


def _native_routes(fastapi_app: Any) -> list[Any]:
    """Return FastAPI's routes without the mounted Flask application."""
    mount = importlib.import_module("starlette.routing").Mount
    return [route for route in fastapi_app.routes if not isinstance(route, mount)]


def _mlflow(settings: Settings, *, asgi: bool) -> tuple[Any, Any]:
    """Return MLflow's own application for this stack and access, and its basic auth if that is wanted."""
    auth: Any = None
    if settings.access is Access.BASIC:
        auth = importlib.import_module("mlflow.server.auth")
        if password := os.environ.get(PASSWORD_VARIABLE):
            # The file that MLflow reads holds none.
            auth.auth_config = auth.auth_config._replace(admin_password=password)
        if auth.auth_config.authorization_function != AUTHORIZATION:
            raise SettingsError(f"{FILE_VARIABLE} names an authorization_function of its own, which cannot be checked.")
        inner = auth.create_app()
        hold_administrator(auth.store, auth.auth_config)
    elif asgi:
        inner = importlib.import_module("mlflow.server.fastapi_app").app
    else:
        inner = importlib.import_module("mlflow.server").app
    hide_store_addresses()
    return inner, auth


def _users(settings: Settings, auth: Any, cache: Cache | None, *, asgi: bool) -> Users:
    passwords = Passwords(
        auth.store,
        seconds=settings.auth_cache_s,
        most_waiting=_MOST_WAITING[asgi],
        shared=SharedGuesses(cache, settings.session_key) if cache and settings.shares_guesses else None,
    )
    return Users(passwords=passwords, job_token=os.environ.get(JOB_TOKEN, ""))


def hide_store_addresses() -> None:
    """Let the server say that it hands out no addresses of the store: clients then go through it from the start."""
    for name in ("mlflow.server.handlers", "mlflow.server.server_info_api"):
        if importlib.util.find_spec(name) is None:
            continue
        module = importlib.import_module(name)
        build = getattr(module, "build_server_info_payload", None)
        if build is not None:
            module.build_server_info_payload = _without_store_addresses(build)  # type: ignore[attr-defined]


def _without_store_addresses(build: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    @functools.wraps(build)
    def payload() -> dict[str, Any]:
        return {name: False if name in _STORE_ABILITIES else value for name, value in build().items()}

    return payload


def hold_administrator(store: Any, config: Any) -> None:
    """Give the administrator the password of the environment: MLflow reads it only when it makes him.

    Without this, a password that was rotated in its secret would let nobody in.
    """
    name, password = config.admin_username, config.admin_password
    if name and password and not store.authenticate_user(name, password):
        store.update_user(name, password=password)


def _cache(settings: Settings, databases: Databases) -> Cache | None:
    """Return the cache to count in, None if nothing is counted there."""
    if not (settings.requests_per_minute or settings.shares_guesses):
        return None
    return Cache(settings.redis_url, str(databases.tracking))


def _metrics(settings: Settings, health: Health, parts: tuple[Part, ...]) -> Metrics | None:
    if not settings.metrics_port:
        return None
    from mlflow_backend_server.http.metrics import Metrics

    metrics = Metrics(settings, version=installed_version())
    for part in parts:
        metrics.head.labels(part.chain.name, part.chain.head).set(1)

    def refresh(metrics: Metrics) -> None:
        for name, finding in health.board.look()[0].items():
            if finding.state is not State.OFF:
                metrics.component.labels(name).set(finding.state is State.OK)
        for state, count in _pool().items():
            metrics.pool.labels(state).set(count)
        metrics.temporary.labels("used").set(health.space.used())
        metrics.temporary.labels("free").set(health.space.room())
        if settings.jobs:
            metrics.job_runners.set(job_runners())

    metrics.run(refresh, DatabaseFigures(parts))
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
    """Take uvicorn's own access log away if ours is on: it costs as much as the rest of the plugin together."""
    if settings.access_log:
        logger = logging.getLogger("uvicorn.access")
        logger.handlers.clear()
        logger.propagate = False
