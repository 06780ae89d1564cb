"""The command, environment, port and probes of one `mlflow server`, made of a stack's inputs.

It decides nothing about where the process runs, and starts nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping  # noqa: TC003 - `codec` reads the declared types
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from mlflow_backend.contract import Refused
from mlflow_backend.server import environment
from mlflow_backend.server.addresses import SecretTemplate  # noqa: TC001 - as above
from mlflow_backend.server.versions import Abilities, abilities, parse_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow_backend.server.inputs import ServerInputs

# The description sets these itself; a second value would silently win or lose, depending on the MLflow version.
OWNED_FLAGS = frozenset({
    "allowed-hosts", "app-name", "artifacts-destination", "artifacts-only", "backend-store-uri",
    "cors-allowed-origins", "default-artifact-root", "dev", "disable-security-middleware", "env-file",
    "gunicorn-opts", "host", "no-serve-artifacts", "port", "registry-store-uri", "serve-artifacts",
    "static-prefix", "uvicorn-opts", "waitress-opts", "workers",
})  # fmt: skip
_FLAG_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII)
_PASSWORD_IN_URL = re.compile(r"://[^/@\s]*:[^/@\s]*@")

# Setting --allowed-hosts replaces MLflow's default list, so what the default allows has to be said again: probes, job
# processes and the launcher all call the server by a loopback name. `[[]` is how fnmatch spells a literal bracket.
LOOPBACK_HOSTS = ("localhost", "localhost:*", "127.0.0.1", "127.0.0.1:*", "[::1]", "[[]::1]:*")
# Where any port is accepted, this one is tried.
_SOME_PORT = 8443

# A balancer must never reuse a connection that the server is about to close: uvicorn's own 5 s under a balancer's
# 60 s gives sporadic 502s.
_KEEP_ALIVE_MARGIN_S = 10
_STOP_MARGIN_S = 20
# With the database away, MLflow 3.18.0 gave up starting after 107.6 s (facts.md, B).
_START_ALLOWANCE_S = 180

# Measured in MiB of summed RSS (facts.md, B): 3.18.0 with 1, 2, 4 workers 532, 840, 1370; 2.9.2 392, 569, 926;
# jobs on, 1 worker: 2900.
_MEMORY_MIB = {"uvicorn": (270, 290), "gunicorn": (220, 190)}
_JOBS_MEMORY_MIB = 2400

# The entry point of server/src/mlflow_backend_server.
APP = "mlflow-backend"
_GUNICORN_WORKER = "mlflow_backend_server.http.worker.Worker"
READY = "/health/ready"
_LIMIT_FIX = "Set cache.mode to create, or access.requestsPerMinute to 0."


@dataclass(frozen=True, kw_only=True)
class AllowedCallers:
    """Hosts that a server answers to, and origins whose pages may call it."""

    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One HTTP question to the server; 200 is yes. Times in seconds."""

    path: str
    timeout_s: int
    interval_s: int
    start_allowance_s: int


@dataclass(frozen=True, kw_only=True)
class ServerDescription:
    """One server, ready to be rendered. No secret is in it: `secret_environment` holds references."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    secret_environment: Mapping[str, SecretTemplate]
    port: int
    liveness: Probe
    readiness: Probe
    memory_mib: int
    stop_timeout_s: int

    def listening(self, *, port: int, metrics_port: int) -> ServerDescription:
        """Return the same server on other ports, for a target that chooses them with each revision."""
        at = self.argv.index("--port") + 1
        argv = (*self.argv[:at], str(port), *self.argv[at + 1 :])
        variables = {**self.environment, **environment.metrics(metrics_port)}
        return replace(self, argv=argv, environment=variables, port=port)


def describe(inputs: ServerInputs) -> ServerDescription:
    """Return the description of the server that `inputs` ask for.

    Raises ValueError for an MLflow version that cannot be deployed, and Refused for a setting that the version cannot
    fulfil: jobs or limits of API keys without Redis, or a flag that is not the user's to set.
    """
    able = abilities(parse_version(inputs.mlflow_version))
    _refuse_unable(inputs, able)
    alive = Probe(path="/health", timeout_s=5, interval_s=10, start_allowance_s=_START_ALLOWANCE_S)
    return ServerDescription(
        argv=_argv(inputs, able),
        environment=environment.plain(inputs, able),
        secret_environment=environment.secret(inputs, able),
        port=inputs.port,
        liveness=alive,
        readiness=replace(alive, path=READY),
        memory_mib=memory_need_mib(able, workers=inputs.workers, jobs=inputs.jobs),
        stop_timeout_s=inputs.request_timeout_s + _STOP_MARGIN_S,
    )


def memory_need_mib(able: Abilities, *, workers: int, jobs: bool) -> int:
    """Return the memory that a server of `workers` processes needs, in MiB, from measured sizes."""
    parent, worker = _MEMORY_MIB[able.stack]
    return parent + workers * worker + (_JOBS_MEMORY_MIB if jobs else 0)


def flag_problem(name: str, *, value: str | bool) -> str | None:
    """Say why the extra flag `name` cannot be passed on, as one clause that names no value; None when it can."""
    if not _FLAG_NAME.fullmatch(name):
        return "is not the name of a flag: lower-case words joined by hyphens, without leading hyphens"
    if name in OWNED_FLAGS:
        return "is set by the server's description itself, from the stack's settings"
    if value is False:
        return "is false: leave a switch out, or name its negative form"
    if isinstance(value, str):
        if not value.isprintable():
            return "has a value with control characters"
        if _PASSWORD_IN_URL.search(value):
            return "has a password in its value, which every user of the machine could read in the process list"
    return None


def allowed_hosts(public_url: str, more: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the Host headers that the server answers to, in the spelling of MLflow's matcher.

    MLflow compares the whole header, port included, as text (security_utils.is_allowed_host_header), so each host
    stands both with a port and without: some clients name a default port, some proxies strip another (mlflow#22095).
    One of `more` that names no port is accepted with any.
    """
    url = urlsplit(public_url)
    port = url.port or _default_port(url.scheme)
    patterns = [pattern for host in more for pattern in _patterns(host)]
    return tuple(dict.fromkeys((_host(url), f"{_host(url)}:{port}", *patterns, *LOOPBACK_HOSTS)))


def allowed_origins(public_url: str, hosts: tuple[str, ...] = (), origins: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the origins whose pages may call the server, spelled as a browser does: lower case, no default port.

    They are the public URL's, those of the same scheme at each other host (with the public port too, if the host
    names none), and `origins`.
    """
    url = urlsplit(public_url)
    named = [each if urlsplit(f"//{each}").port else f"{each}{port}" for each in hosts for port in _ports(url)]
    return tuple(
        dict.fromkeys(_origin(each) for each in (public_url, *(f"{url.scheme}://{host}" for host in named), *origins))
    )


def allowed_callers(argv: Sequence[str]) -> AllowedCallers:
    """Return the hosts and origins that a server was started with, without loopback's; none before MLflow 3.5.0.

    A host that is accepted with any port is given with one.
    """
    lists = {
        name: tuple(argv[argv.index(name) + 1].split(",")) if name in argv else ()
        for name in ("--allowed-hosts", "--cors-allowed-origins")
    }
    hosts = (host for host in lists["--allowed-hosts"] if host not in LOOPBACK_HOSTS)
    spelled = (host.replace("[[]", "[").replace(":*", f":{_SOME_PORT}") for host in hosts)
    return AllowedCallers(hosts=tuple(spelled), origins=lists["--cors-allowed-origins"])


def _patterns(host: str) -> tuple[str, ...]:
    url = urlsplit(f"//{host}")
    if url.port is not None:
        return _host(url), host
    # `[[]` is how fnmatch spells a literal bracket.
    return host, f"{host.replace('[', '[[]')}:*"


def _ports(url: SplitResult) -> tuple[str, ...]:
    return ("", f":{url.port}") if url.port else ("",)


def _origin(text: str) -> str:
    url = urlsplit(text)
    port = "" if url.port in {None, _default_port(url.scheme)} else f":{url.port}"
    return f"{url.scheme}://{_host(url)}{port}"


def _host(url: SplitResult) -> str:
    return f"[{url.hostname}]" if ":" in (url.hostname or "") else (url.hostname or "")


def _default_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _refuse_unable(inputs: ServerInputs, able: Abilities) -> None:
    if inputs.jobs and not able.jobs_on_redis:
        raise Refused(
            f"MLflow {inputs.mlflow_version} cannot keep its job queue on Redis.",
            code="jobs-not-on-redis",
            fix="Set server.jobs to false, or server.mlflowVersion to 3.16.0 or newer.",
        )
    if inputs.jobs and inputs.cache is None:
        raise Refused(
            "MLflow's jobs need Redis, and the backend has none.",
            code="jobs-without-redis",
            fix="Set cache.mode to create.",
        )
    if inputs.access.requests_per_minute and inputs.cache is None:
        raise Refused(
            "The limits of API keys are counted in Redis, and the backend has none.",
            code="limits-without-redis",
            fix=_LIMIT_FIX,
        )
    if inputs.access.mode == "basic" and inputs.access.database == inputs.database.name:
        raise Refused(
            f"The database '{inputs.database.name}' is named for tracking and for MLflow's users.",
            code="database-name-taken",
            fix="Name another database for tracking.",
        )
    for name, value in inputs.extra_flags.items():
        if problem := flag_problem(name, value=value):
            raise Refused(
                f"The extra flag '{name}' {problem}.",
                code="extra-flag-refused",
                fix="Remove it from server.extraFlags.",
            )


def _argv(inputs: ServerInputs, able: Abilities) -> tuple[str, ...]:
    argv = [
        "mlflow", "server",
        "--app-name", APP,
        "--host", inputs.host,
        "--port", str(inputs.port),
        "--workers", str(inputs.workers),
        "--serve-artifacts",
        "--artifacts-destination", inputs.artifacts.destination,
    ]  # fmt: skip
    if able.host_check:
        argv += ["--allowed-hosts", ",".join(allowed_hosts(inputs.public_url, inputs.hosts))]
        origins = allowed_origins(inputs.public_url, inputs.hosts, inputs.origins)
        argv += ["--cors-allowed-origins", ",".join(origins)]
    keep_alive = inputs.request_timeout_s + _KEEP_ALIVE_MARGIN_S
    if able.stack == "uvicorn":
        # The plugin reads what the proxies in front say, and knows how many there are; uvicorn would believe anybody
        # on its own machine.
        options = (
            f"--timeout-keep-alive {keep_alive} --timeout-graceful-shutdown {inputs.request_timeout_s} "
            "--no-proxy-headers"
        )
        argv += ["--uvicorn-opts", options]
    else:
        options = (
            f"--worker-class {_GUNICORN_WORKER} --threads {able.threads} --keep-alive {keep_alive} "
            f"--timeout {inputs.request_timeout_s} --graceful-timeout {inputs.request_timeout_s}"
        )
        argv += ["--gunicorn-opts", options]
    for name, value in sorted(inputs.extra_flags.items()):
        argv += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    return tuple(argv)
