"""The plugin's settings, from its environment, which nothing else reads.

A value that cannot be understood stops the server with its name and the rule, never with the value: some are secret.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "MLFLOW_BACKEND_"
#: Set by `mlflow server` for its children, and before it by whoever wants the same without flags.
_DESTINATION_VARIABLES = ("_MLFLOW_SERVER_ARTIFACT_DESTINATION", "MLFLOW_ARTIFACTS_DESTINATION")
_REDIS_VARIABLES = ("MLFLOW_BACKEND_REDIS_URL", "MLFLOW_SERVER_JOB_HUEY_REDIS_URL")
#: What one client that never waits gets answered in a minute (ADR 31).
DEFAULT_REQUESTS_PER_MINUTE = 6000
_PORT_LIMIT = 65535
_MOST_PROXIES = 10
_SESSION_KEY_VARIABLE = "MLFLOW_FLASK_SERVER_SECRET_KEY"
_TRUE, _FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"", "0", "false", "no", "off"})


class SettingsError(Exception):
    """An environment variable that the plugin cannot work with."""


class Access(StrEnum):
    """Who may call the server: everyone who reaches it, MLflow's own users, or holders of an API key."""

    NONE = "none"
    BASIC = "basic"
    TOKEN = "token"  # noqa: S105 - the name of a mode


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How one server process behaves. Sizes in bytes, times in seconds; 0 turns a limit off.

    `trusted_proxies` is how many proxies of ours every caller comes through; `session_key` is a secret that all servers
    of the backend have.
    """

    access: Access = Access.NONE
    api_keys: str = ""
    requests_per_minute: int = 0
    redis_url: str = field(default="", repr=False)
    session_key: str = field(default="", repr=False)
    artifacts: str = ""
    jobs: bool = False
    path_prefix: str = ""
    access_log: bool = True
    max_request_bytes: int = 64 * 1024 * 1024
    max_artifact_bytes: int = 5 * 1024**3
    temporary_bytes: int = 16 * 1024**3
    request_timeout_s: int = 0
    metrics_port: int = 0
    metrics_host: str = "127.0.0.1"
    auth_cache_s: int = 30
    trusted_proxies: int = 0

    @property
    def shares_guesses(self) -> bool:
        """Whether wrong passwords are counted over all servers: in a cache, under a secret that each of them has."""
        return self.access is Access.BASIC and bool(self.redis_url) and bool(self.session_key)


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Return the settings that the environment holds.

    Raises SettingsError, naming the variable and the rule.
    """
    read = _Reader(environment)
    access, redis_url = read.access(), read.first(_REDIS_VARIABLES)
    limited = access is Access.TOKEN and bool(redis_url)
    settings = Settings(
        access=access,
        api_keys=read.text("API_KEYS"),
        requests_per_minute=read.number("API_KEY_REQUESTS_PER_MINUTE", DEFAULT_REQUESTS_PER_MINUTE if limited else 0),
        redis_url=redis_url,
        session_key=environment.get(_SESSION_KEY_VARIABLE, ""),
        artifacts=read.first(_DESTINATION_VARIABLES),
        jobs=read.switch("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", default=True)
        and "MLFLOW_SERVER_JOB_HUEY_REDIS_URL" in environment,
        path_prefix=read.text("PATH_PREFIX").rstrip("/"),
        access_log=read.switch(f"{PREFIX}ACCESS_LOG", default=True),
        max_request_bytes=read.number("MAX_REQUEST_BYTES", Settings.max_request_bytes),
        max_artifact_bytes=read.number("MAX_ARTIFACT_BYTES", Settings.max_artifact_bytes),
        temporary_bytes=read.number("TEMPORARY_BYTES", Settings.temporary_bytes),
        request_timeout_s=read.number("REQUEST_TIMEOUT_SECONDS", 0),
        metrics_port=read.number("METRICS_PORT", 0, limit=_PORT_LIMIT),
        metrics_host=read.text("METRICS_HOST") or Settings.metrics_host,
        auth_cache_s=read.number("AUTH_CACHE_SECONDS", Settings.auth_cache_s, limit=60),
        trusted_proxies=read.number("TRUSTED_PROXIES", 0, limit=_MOST_PROXIES),
    )
    if settings.access is Access.TOKEN and not settings.api_keys:
        raise SettingsError(f"{PREFIX}ACCESS is 'token', and {PREFIX}API_KEYS does not say where the keys are.")
    if settings.requests_per_minute and not settings.redis_url:
        raise SettingsError(f"{PREFIX}API_KEY_REQUESTS_PER_MINUTE needs Redis: set {PREFIX}REDIS_URL.")
    return settings


class _Reader:
    """Reads single values, each error naming its variable."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def text(self, name: str) -> str:
        return self._environment.get(PREFIX + name, "").strip()

    def first(self, names: tuple[str, ...]) -> str:
        return next((self._environment[name] for name in names if self._environment.get(name)), "")

    def number(self, name: str, default: int, *, limit: int | None = None) -> int:
        text = self.text(name)
        if not text:
            return default
        if not (text.isascii() and text.isdigit()) or (limit is not None and int(text) > limit):
            most = "" if limit is None else f" up to {limit}"
            raise SettingsError(f"{PREFIX}{name} is not a whole number{most}.")
        return int(text)

    def switch(self, name: str, *, default: bool) -> bool:
        text = self._environment.get(name)
        if text is None:
            return default
        if text.strip().lower() in _TRUE | _FALSE:
            return text.strip().lower() in _TRUE
        raise SettingsError(f"{name} is neither true nor false.")

    def access(self) -> Access:
        text = self.text("ACCESS") or Access.NONE
        if text not in set(Access):
            raise SettingsError(f"{PREFIX}ACCESS is none of: {', '.join(Access)}.")
        return Access(text)
