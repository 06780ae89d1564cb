"""The description of one MLflow server: exact commands per version, secrets by reference, hosts as MLflow has them."""

from __future__ import annotations

import fnmatch
from dataclasses import replace
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_backend.contract import Refused
from mlflow_backend.server import (
    OWNED_FLAGS,
    AccessControl,
    AllowedCallers,
    ArtifactStore,
    CacheAddress,
    DatabaseAddress,
    PoolSize,
    SecretTemplate,
    ServerInputs,
    abilities,
    allowed_callers,
    allowed_hosts,
    allowed_origins,
    cache_url,
    database_uri,
    describe,
    flag_problem,
    keys,
    parse_version,
)

DATABASE = DatabaseAddress(host="db.internal", port=5432, name="mlflow", user="mlflow", password="database-password")
CACHE = CacheAddress(host="cache.internal", port=6379, password="cache-password")
STORE = ArtifactStore(
    destination="s3://bucket/artifacts",
    endpoint_url="http://127.0.0.1:9000",
    region="us-east-1",
    access_key="store-access",
    secret_key="store-secret",
)
INPUTS = ServerInputs(
    mlflow_version="3.17.2",
    public_url="https://mlflow.example.com",
    host="127.0.0.1",
    port=41000,
    database=DATABASE,
    artifacts=STORE,
    cache=CACHE,
    workers=2,
)

COMMON = (
    "mlflow", "server", "--app-name", "mlflow-backend", "--host", "127.0.0.1", "--port", "41000", "--workers", "2",
    "--serve-artifacts", "--artifacts-destination", "s3://bucket/artifacts",
)  # fmt: skip
HOSTS = (
    "--allowed-hosts",
    "mlflow.example.com,mlflow.example.com:443,localhost,localhost:*,127.0.0.1,127.0.0.1:*,[::1],[[]::1]:*",
    "--cors-allowed-origins",
    "https://mlflow.example.com",
)
_OPTIONS = (
    "--worker-class mlflow_backend_server.http.worker.Worker"
    " --threads 8 --keep-alive 310 --timeout 300 --graceful-timeout 300"
)
GUNICORN = ("--gunicorn-opts", _OPTIONS)
UVICORN = ("--uvicorn-opts", "--timeout-keep-alive 310 --timeout-graceful-shutdown 300 --no-proxy-headers")


@pytest.mark.parametrize(
    ("version", "own"),
    [
        ("2.9.2", GUNICORN),
        ("2.14.1", GUNICORN),
        ("2.22.0", GUNICORN),
        ("3.1.4", GUNICORN),
        ("3.2.0", GUNICORN),
        ("3.3.0", UVICORN),
        ("3.4.0", UVICORN),
        ("3.5.0", HOSTS + UVICORN),
        ("3.10.1", HOSTS + UVICORN),
        ("3.16.1", HOSTS + UVICORN),
        ("3.17.2", HOSTS + UVICORN),
        ("4.0.0", HOSTS + UVICORN),
    ],
)
def test_the_command_of_each_version_is_exactly_this(version: str, own: tuple[str, ...]) -> None:
    """A version is given no flag that its wheel does not have, and every flag that it needs."""
    assert describe(replace(INPUTS, mlflow_version=version)).argv == COMMON + own


BASE_ENVIRONMENT = {
    "MLFLOW_BACKEND_STORE_URI": "postgresql+psycopg2://mlflow@db.internal:5432/mlflow",
    "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "5",
    "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": "10",
    "PGSSLMODE": "require",
    "PYTHONUNBUFFERED": "1",
    "MLFLOW_BACKEND_ACCESS": "none",
    "MLFLOW_BACKEND_MAX_REQUEST_BYTES": "67108864",
    "MLFLOW_BACKEND_MAX_ARTIFACT_BYTES": str(5 * 1024**3),
    "MLFLOW_BACKEND_TEMPORARY_BYTES": str(16 * 1024**3),
    "MLFLOW_BACKEND_ACCESS_LOG": "true",
    "MLFLOW_BACKEND_TRUSTED_PROXIES": "1",
    "MLFLOW_S3_ENDPOINT_URL": "http://127.0.0.1:9000",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
}
NO_TELEMETRY = {"MLFLOW_DISABLE_TELEMETRY": "true"}
NO_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
TIMEOUT = {"MLFLOW_BACKEND_REQUEST_TIMEOUT_SECONDS": "300"}


@pytest.mark.parametrize(
    ("version", "own"),
    [
        ("2.9.2", {}),
        ("3.1.4", {}),
        ("3.2.0", NO_TELEMETRY),
        ("3.4.0", NO_TELEMETRY | TIMEOUT),
        ("3.5.0", NO_TELEMETRY | TIMEOUT | NO_JOBS),
        ("3.17.2", NO_TELEMETRY | TIMEOUT | NO_JOBS),
    ],
)
def test_the_plain_environment_of_each_version_is_exactly_this(version: str, own: dict[str, str]) -> None:
    """Jobs and telemetry are off in every version that has them, and no secret is in the plain environment."""
    assert describe(replace(INPUTS, mlflow_version=version)).environment == BASE_ENVIRONMENT | own


AUTH_DATABASE = "postgresql+psycopg2://mlflow@db.internal:5432/mlflow_auth"
BASIC = {
    "MLFLOW_BACKEND_ACCESS": "basic",
    "MLFLOW_BACKEND_AUTH_DATABASE_URI": AUTH_DATABASE,
    "MLFLOW_AUTH_ADMIN_USERNAME": "admin",
}
TOKEN = {
    "MLFLOW_BACKEND_ACCESS": "token",
    "MLFLOW_BACKEND_API_KEYS": "/keys.json",
}
#: Where the plugin counts requests of keys, and wrong passwords.
COUNTED = {"MLFLOW_BACKEND_REDIS_URL": "redis://:{cache-password}@cache.internal:6379/0"}


@pytest.mark.parametrize("version", ["2.9.2", "3.1.4", "3.4.0", "3.17.2"])
@pytest.mark.parametrize(
    ("access", "plain", "secret"),
    [
        (AccessControl(), {}, {}),
        (
            AccessControl(mode="basic", admin_password="the-admin", session_key="the-session"),
            BASIC,
            COUNTED | {"MLFLOW_AUTH_ADMIN_PASSWORD": "{the-admin}", "MLFLOW_FLASK_SERVER_SECRET_KEY": "{the-session}"},
        ),
        (
            AccessControl(mode="basic", database="users", admin_user="root"),
            BASIC
            | {
                "MLFLOW_BACKEND_AUTH_DATABASE_URI": AUTH_DATABASE.replace("mlflow_auth", "users"),
                "MLFLOW_AUTH_ADMIN_USERNAME": "root",
            },
            COUNTED
            | {
                "MLFLOW_AUTH_ADMIN_PASSWORD": "{admin-password}",
                "MLFLOW_FLASK_SERVER_SECRET_KEY": "{flask-secret-key}",
            },
        ),
        (
            AccessControl(mode="token", keys="/keys.json", requests_per_minute=600),
            TOKEN | {"MLFLOW_BACKEND_API_KEY_REQUESTS_PER_MINUTE": "600"},
            COUNTED,
        ),
        (AccessControl(mode="token", keys="/keys.json"), TOKEN, COUNTED),
        (
            AccessControl(
                mode="token", requests_per_minute=0, keys="arn:aws:secretsmanager:eu-west-1:123456789012:secret:keys"
            ),
            TOKEN
            | {
                "MLFLOW_BACKEND_API_KEYS": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:keys",
                "MLFLOW_BACKEND_API_KEY_REQUESTS_PER_MINUTE": "0",
            },
            {},
        ),
    ],
)
def test_each_access_mode_adds_exactly_this(
    version: str, access: AccessControl, plain: dict[str, str], secret: dict[str, str]
) -> None:
    """Every version gets the same access, passwords by reference only, and nothing of a mode that is off."""
    open_to_all = describe(replace(INPUTS, mlflow_version=version))
    described = describe(replace(INPUTS, mlflow_version=version, access=access))
    assert described.argv == open_to_all.argv
    assert described.environment == {**open_to_all.environment, **plain}
    added = {k: v.text for k, v in described.secret_environment.items() if k not in open_to_all.secret_environment}
    assert added == secret


def test_limits_of_keys_without_a_cache_are_refused() -> None:
    """A limit that nothing counts is never silently no limit."""
    access = AccessControl(mode="token", keys="/keys.json", requests_per_minute=600)
    with pytest.raises(Refused, match="counted in Redis"):
        describe(replace(INPUTS, cache=None, access=access))


@pytest.mark.parametrize(
    ("fields", "said"),
    [({"mode": "token"}, "where the plugin reads"), ({"mode": "basic", "requests_per_minute": 1}, "only API keys")],
)
def test_an_access_that_cannot_be_meant_is_refused(fields: dict[str, Any], said: str) -> None:
    """A target that forgets where its keys are fails in its own tests, not in a server that does not start."""
    with pytest.raises(ValueError, match=said):
        AccessControl(**fields)


def test_sizes_log_and_metrics_reach_the_plugin() -> None:
    """Limits are set in the units that settings have and reach the plugin in bytes; metrics are off until asked for."""
    wanted = replace(INPUTS, max_request_mib=1, max_artifact_mib=5, access_log=False, metrics_port=9464)
    environment = describe(wanted).environment
    assert environment["MLFLOW_BACKEND_MAX_REQUEST_BYTES"] == "1048576"
    assert environment["MLFLOW_BACKEND_MAX_ARTIFACT_BYTES"] == "5242880"
    assert environment["MLFLOW_BACKEND_ACCESS_LOG"] == "false"
    assert environment["MLFLOW_BACKEND_METRICS_PORT"] == "9464"
    assert environment["MLFLOW_BACKEND_METRICS_HOST"] == "127.0.0.1"
    assert not [name for name in describe(INPUTS).environment if "METRICS" in name]


@pytest.mark.parametrize(
    ("version", "redis"),
    [
        ("2.9.2", set()),
        ("3.10.1", set()),
        ("3.11.0", {"MLFLOW_GATEWAY_BUDGET_REDIS_URL"}),
        ("3.17.2", {"MLFLOW_GATEWAY_BUDGET_REDIS_URL"}),
    ],
)
def test_the_secret_environment_names_secrets_and_holds_none(version: str, redis: set[str]) -> None:
    """What a server may know is exactly this, each by reference."""
    secrets = describe(replace(INPUTS, mlflow_version=version)).secret_environment
    own = {"PGPASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", *keys.VARIABLES}
    assert set(secrets) == own | redis
    assert secrets["PGPASSWORD"].references() == ("database-password",)
    assert secrets["AWS_SECRET_ACCESS_KEY"].references() == ("store-secret",)


@pytest.mark.parametrize("version", ["3.16.0", "3.16.1", "3.17.2"])
def test_jobs_that_are_on_are_on_redis(version: str) -> None:
    """The queue of jobs is on Redis, which the job runners and all replicas share."""
    described = describe(replace(INPUTS, mlflow_version=version, jobs=True))
    assert described.environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "true"
    template = described.secret_environment["MLFLOW_SERVER_JOB_HUEY_REDIS_URL"]
    assert template == SecretTemplate(text="redis://:{cache-password}@cache.internal:6379/0", encode=True)


@pytest.mark.parametrize("version", ["2.9.2", "3.4.0", "3.5.0", "3.10.1", "3.15.0"])
def test_jobs_are_refused_where_their_queue_would_be_a_file(version: str) -> None:
    """A version that cannot keep jobs on Redis never runs them on a file that the container loses."""
    with pytest.raises(Refused, match=f"MLflow {version} cannot keep its job queue on Redis"):
        describe(replace(INPUTS, mlflow_version=version, jobs=True))


def test_jobs_without_a_cache_are_refused() -> None:
    """Jobs are never silently on SQLite."""
    with pytest.raises(Refused, match="need Redis"):
        describe(replace(INPUTS, jobs=True, cache=None))


def test_without_keys_the_server_uses_its_ambient_role() -> None:
    """On a cloud no key of the store is in the environment at all."""
    described = describe(replace(INPUTS, artifacts=ArtifactStore(destination="s3://bucket/artifacts"), cache=None))
    assert set(described.secret_environment) == {"PGPASSWORD", *keys.VARIABLES}
    assert not [name for name in described.environment if name.startswith("AWS_") or "S3" in name]


def test_a_database_with_a_ca_is_verified_in_full() -> None:
    """A named CA is used to check certificate and host name, not merely loaded."""
    environment = describe(replace(INPUTS, database=replace(DATABASE, tls_ca="/etc/ca.pem"))).environment
    assert environment["PGSSLMODE"] == "verify-full"
    assert environment["PGSSLROOTCERT"] == "/etc/ca.pem"


@pytest.mark.parametrize(
    ("host", "mode"),
    [("127.0.0.1", None), ("::1", None), ("localhost", None), ("10.0.0.5", "require"), ("db.internal", "require")],
)
def test_only_a_loopback_database_may_speak_plain_text(host: str, mode: str | None) -> None:
    """A password is never sent over a network that was silently left unencrypted."""
    environment = describe(replace(INPUTS, database=replace(DATABASE, host=host))).environment
    assert environment.get("PGSSLMODE") == mode


def test_pool_sizes_reach_the_server() -> None:
    """The connection budget counts on these numbers, so they are set and not assumed."""
    environment = describe(replace(INPUTS, pool=PoolSize(size=3, max_overflow=4))).environment
    assert environment["MLFLOW_SQLALCHEMYSTORE_POOL_SIZE"] == "3"
    assert environment["MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW"] == "4"


@pytest.mark.parametrize(("size", "overflow"), [(0, 5), (5, 0), (-1, 5)])
def test_a_pool_size_that_mlflow_would_ignore_is_refused(size: int, overflow: int) -> None:
    """MLflow takes 0 for 'unset' and opens ten more connections than the budget counted."""
    with pytest.raises(ValueError, match="at least 1"):
        PoolSize(size=size, max_overflow=overflow)


def test_timeouts_follow_from_the_longest_request() -> None:
    """Keep-alive outlasts the balancer's idle time-out, the stop outlasts the longest request."""
    described = describe(replace(INPUTS, request_timeout_s=60))
    assert described.argv[-1] == "--timeout-keep-alive 70 --timeout-graceful-shutdown 60 --no-proxy-headers"
    assert described.stop_timeout_s == 80


@pytest.mark.parametrize(
    ("version", "workers", "jobs", "measured_mib"),
    [
        ("3.17.2", 1, False, 532),
        ("3.17.2", 2, False, 840),
        ("3.17.2", 4, False, 1370),
        ("3.17.2", 1, True, 2900),
        ("2.9.2", 1, False, 392),
        ("2.9.2", 2, False, 569),
        ("2.9.2", 4, False, 926),
    ],
)
def test_the_memory_need_covers_what_was_measured(version: str, workers: int, measured_mib: int, *, jobs: bool) -> None:
    """A server given its stated need is not killed for memory, nor given twice what it uses."""
    stated = describe(replace(INPUTS, mlflow_version=version, workers=workers, jobs=jobs)).memory_mib
    assert measured_mib <= stated <= 1.1 * measured_mib


def test_probes_ask_the_route_that_no_host_check_guards() -> None:
    """A probe by a task's own address must not be answered 403."""
    described = describe(INPUTS)
    assert described.liveness.path == "/health"
    assert described.readiness.path == "/health/ready"
    assert described.readiness.start_allowance_s > 108, "MLflow itself gives up on an absent database after 107.6 s"
    assert described.port == 41000


@pytest.mark.parametrize(
    "text", ["", "3", "3.17", "3.17.2.1", "3.17.2rc1", "v3.17.2", " 3.17.2", "3.17.2\n", "3.x.1", "3.1.\u0664"]
)
def test_a_malformed_version_is_refused(text: str) -> None:
    """Only a final release has a lock, a schema head and a row in the tables."""
    with pytest.raises(ValueError, match="three numbers"):
        parse_version(text)


@pytest.mark.parametrize("text", ["2.8.1", "1.30.0", "0.9.0"])
def test_a_version_that_is_too_old_is_refused(text: str) -> None:
    """Nothing before 2.9 was ever tried."""
    with pytest.raises(ValueError, match=r"oldest .* 2\.9\.0"):
        parse_version(text)


def test_versions_compare_by_number() -> None:
    """3.10 is newer than 3.9."""
    assert parse_version("3.10.1") > parse_version("3.9.0")
    assert abilities(parse_version("3.10.1")).host_check
    assert str(parse_version("3.10.1")) == "3.10.1"


def _accepts(hosts: tuple[str, ...], header: str) -> bool:
    """MLflow's own comparison (security_utils.is_allowed_host_header, 3.5.0 to 3.18.0)."""
    return any(fnmatch.fnmatch(header, host) if "*" in host else header == host for host in hosts)


@pytest.mark.parametrize(
    ("public_url", "accepted", "refused"),
    [
        (
            "https://mlflow.example.com",
            ["mlflow.example.com", "mlflow.example.com:443"],
            ["example.com", "mlflow.example.com:80"],
        ),
        (
            "https://mlflow.example.com:8443",
            ["mlflow.example.com:8443", "mlflow.example.com"],
            ["mlflow.example.com:443"],
        ),
        ("http://lb.internal", ["lb.internal", "lb.internal:80"], ["lb.internal.evil.com"]),
        (
            "http://127.0.0.1:5000",
            ["127.0.0.1:5000", "localhost:5000", "[::1]:5000", "[::1]"],
            ["127.0.0.1.evil.com", "10.0.0.7"],
        ),
        ("http://[fd00::1]:5000", ["[fd00::1]:5000", "[fd00::1]"], ["[fd00::2]:5000"]),
        ("https://MLflow.Example.com", ["mlflow.example.com"], []),
    ],
)
def test_the_hosts_that_users_and_probes_call_are_accepted(
    public_url: str, accepted: list[str], refused: list[str]
) -> None:
    """Setting the list replaces MLflow's default: users, probes and job runners must be in it, and no one else."""
    hosts = allowed_hosts(public_url)
    for header in [*accepted, "localhost", "localhost:41000", "127.0.0.1:41000"]:
        assert _accepts(hosts, header), header
    for header in [*refused, "evil.example.org", ""]:
        assert not _accepts(hosts, header), header


@pytest.mark.parametrize(
    ("public_url", "origin"),
    [
        ("https://mlflow.example.com", "https://mlflow.example.com"),
        ("https://mlflow.example.com:443", "https://mlflow.example.com"),
        ("https://MLflow.example.com:8443", "https://mlflow.example.com:8443"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("http://[::1]:80", "http://[::1]"),
    ],
)
def test_the_origin_is_spelt_as_a_browser_spells_it(public_url: str, origin: str) -> None:
    """MLflow compares the Origin header as text, and browsers leave the default port out."""
    assert allowed_origins(public_url) == (origin,)


@pytest.mark.parametrize(
    ("host", "accepted", "refused"),
    [
        ("second.example", ["second.example", "second.example:443", "second.example:5000"], ["second.example.evil"]),
        ("second.example:8443", ["second.example:8443", "second.example"], ["second.example:5000"]),
        ("[fd00::2]", ["[fd00::2]", "[fd00::2]:5000"], ["[fd00::3]", "[fd00::3]:5000"]),
        ("[fd00::2]:1", ["[fd00::2]:1", "[fd00::2]"], ["[fd00::2]:2"]),
        ("10.0.0.7", ["10.0.0.7", "10.0.0.7:5000"], ["10.0.0.70:5000", "10.0.0.8"]),
    ],
)
def test_further_hosts_are_accepted_with_a_port_and_without(host: str, accepted: list[str], refused: list[str]) -> None:
    """Clients send the port or leave it out; nobody else's name is let in by it."""
    argv = describe(replace(INPUTS, hosts=(host,))).argv
    hosts = tuple(argv[argv.index("--allowed-hosts") + 1].split(","))
    for header in accepted:
        assert _accepts(hosts, header), header
    for header in [*refused, "evil.example.org"]:
        assert not _accepts(hosts, header), header
    assert set(accepted[:1]) <= set(allowed_callers(argv).hosts)
    assert all(_accepts(hosts, each) for each in allowed_callers(argv).hosts)


def test_pages_of_further_hosts_and_origins_may_call() -> None:
    """The UI at a second host posts from there; each origin is spelled as a browser does."""
    inputs = replace(INPUTS, public_url="https://a.example:8443", hosts=("b.example", "c.example:1"))
    argv = describe(replace(inputs, origins=("https://app.example:443", "http://app.example:3000"))).argv
    assert allowed_callers(argv).origins == (
        "https://a.example:8443",
        "https://b.example",
        "https://b.example:8443",
        "https://c.example:1",
        "https://app.example",
        "http://app.example:3000",
    )


def test_one_database_for_tracking_and_users_is_refused() -> None:
    """Whatever the target: the chain of each would migrate the other's tables."""
    access = AccessControl(mode="basic", database=DATABASE.name)
    with pytest.raises(Refused, match=DATABASE.name):
        describe(replace(INPUTS, access=access))
    describe(replace(INPUTS, access=replace(access, mode="none")))


def test_a_server_without_a_host_check_names_no_doors() -> None:
    """Releases before 3.5.0 let everybody in, so there is nothing to try."""
    assert (
        allowed_callers(describe(replace(INPUTS, mlflow_version="3.4.0", hosts=("b.example",))).argv)
        == AllowedCallers()
    )


def test_extra_flags_are_passed_on_in_a_stable_order() -> None:
    """The same flags give the same revision, whatever their order in the file."""
    flags: dict[str, str | bool] = {"x-frame-options": "DENY", "enable-workspaces": True}
    argv = describe(replace(INPUTS, extra_flags=flags)).argv
    assert argv[-3:] == ("--enable-workspaces", "--x-frame-options", "DENY")
    assert argv == describe(replace(INPUTS, extra_flags=dict(reversed(flags.items())))).argv


@pytest.mark.parametrize("name", sorted(OWNED_FLAGS))
def test_a_flag_that_the_description_owns_is_refused(name: str) -> None:
    """No setting can move the server's port, store or host list behind the description's back."""
    with pytest.raises(Refused, match="is set by the server's description"):
        describe(replace(INPUTS, extra_flags={name: "x"}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("--x-frame-options", "DENY"),
        ("-w", "4"),
        ("X-Frame", "DENY"),
        ("x frame", "DENY"),
        ("", "DENY"),
        ("x-frame-options", False),
        ("x-frame-options", "a\nb"),
        ("x-frame-options", "a\0b"),
        ("workspace-store-uri", "postgresql://user:hunter2@host/db"),
        ("workspace-store-uri", "redis://:hunter2@host"),
    ],
)
def test_a_flag_that_cannot_be_passed_on_is_refused_without_its_value(name: str, *, value: str | bool) -> None:
    """A password never reaches a command line, and never the message about it either."""
    problem = flag_problem(name, value=value)
    assert problem is not None
    assert "hunter2" not in problem
    with pytest.raises(Refused) as caught:
        describe(replace(INPUTS, extra_flags={name: value}))
    assert "hunter2" not in str(caught.value)


any_text = st.text(st.characters(codec="utf-8"), max_size=40)
some_text = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)


@settings(deadline=None)
@given(user=some_text, password=any_text)
def test_user_and_password_survive_the_uri(user: str, password: str) -> None:
    """Whatever the characters, what is read back from the URI is exactly what was put in."""
    parts = urlsplit(database_uri(replace(DATABASE, user=user), password=password))
    assert unquote(parts.username or "") == user
    assert unquote(parts.password or "") == password
    assert (parts.scheme, parts.hostname, parts.port) == ("postgresql+psycopg2", "db.internal", 5432)
    assert parts.path == "/mlflow"


@settings(deadline=None)
@given(user=some_text, password=any_text)
def test_user_and_password_survive_sqlalchemy(user: str, password: str) -> None:
    """MLflow's own parser of the URI agrees."""
    make_url = pytest.importorskip("sqlalchemy.engine").make_url
    url = make_url(database_uri(replace(DATABASE, user=user), password=password))
    assert (url.username, url.password, url.host, url.database) == (user, password, "db.internal", "mlflow")


@pytest.mark.parametrize("name", ["", "my db", "a/b", "a?b", "a%20b", "größe", "a\nb"])
def test_a_database_name_that_needs_encoding_is_refused(name: str) -> None:
    """SQLAlchemy 2.0 hands an encoded name to Postgres as it stands."""
    with pytest.raises(ValueError, match="the name of a database"):
        database_uri(DATABASE, database=name)


def test_the_uri_names_the_driver_and_no_password() -> None:
    """Plain `postgresql://` means psycopg 3 under SQLAlchemy 2.1; the password is in PGPASSWORD."""
    assert database_uri(DATABASE) == "postgresql+psycopg2://mlflow@db.internal:5432/mlflow"
    assert database_uri(DATABASE, database="auth") == "postgresql+psycopg2://mlflow@db.internal:5432/auth"
    assert database_uri(replace(DATABASE, host="::1")) == "postgresql+psycopg2://mlflow@[::1]:5432/mlflow"


@settings(deadline=None)
@given(password=any_text)
def test_a_cache_password_survives_its_url(password: str) -> None:
    """The one place where a password must be in a URL decodes to it, and to nothing else."""
    url = cache_url(replace(CACHE, tls=True)).resolve(lambda name: {"cache-password": password}[name])
    parts = urlsplit(url)
    assert unquote(parts.password or "") == password
    assert (parts.scheme, parts.hostname, parts.port, parts.path) == ("rediss", "cache.internal", 6379, "/0")


@settings(deadline=None)
@given(secret=any_text)
def test_a_secret_is_resolved_once(secret: str) -> None:
    """A secret that looks like a reference is not looked up again."""
    template = SecretTemplate(text="a {one} b {two} {one}")
    assert template.references() == ("one", "two")
    looked_up = {"one": f"{{two}}{secret}", "two": secret}
    assert template.resolve(looked_up.__getitem__) == f"a {{two}}{secret} b {secret} {{two}}{secret}"


@pytest.mark.parametrize("text", ["{", "}", "{One}", "{a b}", "{}", "{{a}}", "{1}"])
def test_a_brace_that_is_no_reference_is_refused(text: str) -> None:
    """A misspelt reference must not reach a server as its password."""
    with pytest.raises(ValueError, match="brace"):
        SecretTemplate(text=text)


def test_half_a_pair_of_keys_is_refused() -> None:
    """boto3 would fall back to the ambient role, somebody else's."""
    with pytest.raises(ValueError, match="both keys"):
        ArtifactStore(destination="s3://bucket/a", access_key="store-access")


@settings(deadline=None)
@given(
    version=st.sampled_from(["2.9.2", "3.4.0", "3.5.0", "3.11.0", "3.17.2"]),
    workers=st.integers(1, 64),
    reference=st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True),
)
def test_no_reference_is_resolved_in_a_description(version: str, workers: int, reference: str) -> None:
    """A description can be printed, logged and kept: it knows the names of secrets only."""
    described = describe(
        replace(INPUTS, mlflow_version=version, workers=workers, database=replace(DATABASE, password=reference))
    )
    assert described.secret_environment["PGPASSWORD"].text == f"{{{reference}}}"
    assert not set(described.environment) & set(described.secret_environment)
