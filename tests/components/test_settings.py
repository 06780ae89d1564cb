"""The settings of a stack: what is accepted, every mistake told at once, and no value ever shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pulumi.runtime.config import set_all_config

from mlflow_backend.contract import ExitCode
from mlflow_backend.settings import Settings, SettingsError, YamlSource, connection_budget, from_pulumi, load, of_stack

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
AGE_KEY = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"


def loaded(**sections: Any) -> Settings:
    """Load sections as the engine hands them over: plain text for the target, JSON for the rest."""
    return load({key: value if isinstance(value, str) else json.dumps(value) for key, value in sections.items()})


UPLOAD = {"field": "file", "name": "train.py", "text": "pass"}


def problems(**sections: Any) -> dict[str, str]:
    """Return the message of each problem by key path."""
    with pytest.raises(SettingsError) as caught:
        loaded(**sections)
    assert str(caught.value).count("\n") == len(caught.value.problems), "one line a problem"
    return {problem.path: str(problem) for problem in caught.value.problems}


def test_a_target_is_all_that_a_stack_must_say() -> None:
    """Everything else has a default that works."""
    settings = loaded(target="local")
    assert settings.target == "local"
    assert settings.server.mlflow_version == "3.17.2"
    assert (settings.server.workers, settings.server.replicas, settings.server.jobs) == (1, 1, False)
    assert settings.server.request_timeout == 300
    assert (settings.verify.profile, settings.verify.deadline) == ("core", 180)
    assert settings.access.mode == "none"
    assert connection_budget(settings).fits


def test_every_setting_is_read() -> None:
    """Each key that the documentation names arrives under its Python name."""
    settings = loaded(
        target="ecs",
        server={
            "mlflowVersion": "3.16.1", "image": "registry/mlflow@sha256:00", "workers": 2, "replicas": 2, "cpu": 2048,
            "memory": 8192, "jobs": True, "requestTimeout": 60,
            "extraFlags": {"x-frame-options": "DENY", "workspaces": True},
        },
        database={
            "mode": "adopt", "existing": "postgresql://db:5432/mlflow", "maxConnections": 2000, "poolSize": 3,
            "maxOverflow": 2,
        },
        cache={"mode": "adopt", "existing": "rediss://cache:6379"},
        artifacts={"mode": "adopt", "existing": "s3://bucket/prefix"},
        network={"mode": "adopt", "existing": "vpc-1", "publicUrl": "https://mlflow.example.com/"},
        access={"mode": "basic"},
        scaling={"maxReplicas": 4},
        verify={
            "profile": "full", "deadline": 60, "onFailure": "rollback",
            "extraChecks": [{"name": "docs", "path": "/docs"}],
        },
        migrate={"onFailure": "restore"},
        release={"pin": "41", "acceptPin": True, "soakHours": 24},
        backup={"retentionDays": 30},
        monitoring={"databaseConnections": 5},
        tags={"team": "ml"},
    )  # fmt: skip
    assert settings.server.extra_flags == {"x-frame-options": "DENY", "workspaces": True}
    assert settings.database.existing == "postgresql://db:5432/mlflow"
    assert settings.network.public_url == "https://mlflow.example.com"
    assert settings.verify.extra_checks[0].status == 200
    assert settings.release.accept_pin
    assert settings.tags == {"team": "ml"}


def test_all_problems_come_at_once() -> None:
    """One round of mending is enough: unknown keys, wrong kinds, bad values and broken rules are told together."""
    found = problems(
        target="ecs",
        servr={},
        server={"mlflowVersion": 3.1, "wrkers": 2, "jobs": "yes"},
        database="not a mapping",
        verify={"extraChecks": [{"name": "Docs"}]},
        cache={"existing": "redis://cache:6379"},
    )
    assert set(found) == {
        "servr",
        "server.mlflowVersion",
        "server.wrkers",
        "server.jobs",
        "database",
        "verify.extraChecks.0.name",
        "verify.extraChecks.0.path",
        "cache.existing",
        "access.mode",
    }


def test_a_missing_target_is_reported() -> None:
    """The one setting without a default is named."""
    assert "is missing" in problems(server={})["target"]


@pytest.mark.parametrize(
    ("sections", "path", "suggestion"),
    [
        ({"serverr": {}}, "serverr", "Did you mean server?"),
        ({"server": {"mlflowversion": "3.17.2"}}, "server.mlflowversion", "Did you mean mlflowVersion?"),
        ({"server": {"worker": 1}}, "server.worker", "Did you mean workers?"),
        ({"verify": {"onfailure": "stop"}}, "verify.onfailure", "Did you mean onFailure?"),
        (
            {"verify": {"extraChecks": [{"name": "a", "path": "/", "statu": 1}]}},
            "verify.extraChecks.0.statu",
            "Did you mean status",
        ),
        ({"access": {"zzz": 1}}, "access.zzz", "Known keys here: groups, hosts, mode, origins,"),
        ({"server": {"mlflow_version": "3.17.2"}}, "server.mlflow_version", "Did you mean mlflowVersion?"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(
    sections: dict[str, Any], path: str, suggestion: str
) -> None:
    """A typing mistake never becomes a setting that is silently ignored."""
    message = problems(target="local", **sections)[path]
    assert "is not a known setting" in message
    assert suggestion in message


@pytest.mark.parametrize(
    ("key", "nested"),
    [
        ("server.mlflowVersion", "server.mlflowVersion"),
        ("Server.mlflowVersion", "server.mlflowVersion"),
        ("servr.workers", "server.workers"),
        ("access.mode", "access.mode"),
    ],
)
def test_a_key_with_a_dot_is_one_problem_that_shows_how_it_is_nested(key: str, nested: str) -> None:
    """As `pulumi config set` without --path writes it; what a rule says of the same key is not told besides."""
    access = {} if key == "access.mode" else {"access": {"mode": "basic"}}
    ((path, message),) = problems(target="ecs", **access, **{key: "x"}).items()
    assert path == key
    assert f"config rm 'mlflow-backend:{key}'" in message
    assert f"config set --path 'mlflow-backend:{nested}'" in message


def test_a_key_with_a_dot_within_a_section_is_to_be_nested_too() -> None:
    """Pulumi's commands take such a key for a path, so none is offered."""
    message = problems(target="local", verify={"extraChecks.name": 1})["verify.extraChecks.name"]
    assert "Nest name below extraChecks" in message
    assert "config set" not in message


@pytest.mark.parametrize(
    ("sections", "path", "told"),
    [
        ({"target": "lokal"}, "target", ["'ecs' or 'eks' or 'kubernetes' or 'local'", "Did you mean local?"]),
        ({"verify": {"profile": "core "}}, "verify.profile", ["Did you mean core?"]),
        ({"server": {"mlflowVersion": 3.1}}, "server.mlflowVersion", ["a number with a decimal point", "quotes"]),
        ({"server": {"mlflowVersion": "3.17"}}, "server.mlflowVersion", ["three numbers joined by dots"]),
        ({"server": {"mlflowVersion": "2.8.0"}}, "server.mlflowVersion", ["oldest", "2.9.0"]),
        ({"backup": {"destination": "backups"}}, "backup.destination", ["absolute path"]),
        ({"backup": {"recoveryKey": "age1typed-wrongly"}}, "backup.recoveryKey", ["a public key of age"]),
        ({"backup": {"schedule": "daily"}}, "backup.schedule", ["five fields of cron"]),
        ({"backup": {"drillSchedule": "0 4 31 2 *"}}, "backup.drillSchedule", ["day-of-month"]),
        ({"server": {"workers": 0}}, "server.workers", ["1 or more"]),
        ({"server": {"workers": 65}}, "server.workers", ["64 or less"]),
        ({"server": {"workers": True}}, "server.workers", ["is a true/false value", "a whole number"]),
        ({"server": {"workers": "2"}}, "server.workers", ["is text", "a whole number"]),
        ({"server": {"workers": 1.0}}, "server.workers", ["a number with a decimal point"]),
        ({"server": {"workers": None}}, "server.workers", ["is empty"]),
        ({"server": {"jobs": "true"}}, "server.jobs", ["is text", "true or false"]),
        ({"server": {"port": 80}}, "server.port", ["1024 or more"]),
        ({"server": {"extraFlags": ["a"]}}, "server.extraFlags", ["is a list", "a mapping"]),
        ({"server": {"extraFlags": {"a": 1}}}, "server.extraFlags.a", ["text, or true for a switch"]),
        ({"server": {"image": ""}}, "server.image", ["must not be empty"]),
        ({"server": []}, "server", ["is a list", "a mapping"]),
        ({"server": "text"}, "server", ["is not a mapping"]),
        ({"database": {"maxOverflow": 0}}, "database.maxOverflow", ["1 or more"]),
        ({"database": {"existing": "sqlite:///a.db"}}, "database.existing", ["postgresql://HOST:PORT/NAME"]),
        ({"database": {"existing": "postgresql://u:p@db/x"}}, "database.existing", ["without user or password"]),
        ({"database": {"existing": "postgresql://db:5432/"}}, "database.existing", ["NAME"]),
        ({"database": {"existing": "postgresql://db:99999/x"}}, "database.existing", ["PORT"]),
        ({"cache": {"existing": "http://cache"}}, "cache.existing", ["redis://HOST:PORT"]),
        ({"artifacts": {"existing": "bucket/prefix"}}, "artifacts.existing", ["s3://BUCKET/PREFIX"]),
        ({"network": {"publicUrl": "mlflow.example.com"}}, "network.publicUrl", ["https://mlflow.example.com"]),
        ({"network": {"publicUrl": "https://host/ml"}}, "network.publicUrl", ["without path"]),
        ({"network": {"publicUrl": "https://[::1"}}, "network.publicUrl", ["root of a host"]),
        *(
            ({"access": {"hosts": ["good.example", host]}}, "access.hosts.1", ["mlflow.example.com:8443"])
            for host in ("", "https://a", "a/b", "A.example", "a,b", "*", "*.a", "u@a", "a:0", "a:99999", "a:", "[::1")
        ),
        *(
            ({"access": {"origins": [origin]}}, "access.origins.0", [told])
            for origin, told in (("a.example", "an origin"), ("ftp://a", "an origin"), ("https://a/b", "a host"),
                                 ("https://*", "a host"), ("null", "an origin"), ("*", "an origin"))
        ),
        *(
            ({"network": {"pathPrefix": prefix}}, "network.pathPrefix", ["/mlflow"])
            for prefix in ("/", "mlflow", "/ml/", "//ml", "/a/../b", "/.", "/a b", "/%6dl", "/a?b", "/api", "/v1/x")
        ),
        ({"verify": {"deadline": 1}}, "verify.deadline", ["5 or more"]),
        (
            {"verify": {"extraChecks": [{"name": "a", "path": "/", "method": "POST", "body": {}, "upload": UPLOAD}]}},
            "verify.extraChecks.0.upload",
            ["Remove one"],
        ),
        (
            {"verify": {"extraChecks": [{"name": "a", "path": "/", "body": {}}]}},
            "verify.extraChecks.0.method",
            ["POST or PUT"],
        ),
        (
            {"verify": {"extraChecks": [{"name": "a", "path": "/${ID}", "save": {"ID": "$.id"}}]}},
            "verify.extraChecks.0",
            ["uses ID"],
        ),
        ({"verify": {"extraChecks": {}}}, "verify.extraChecks", ["is a mapping", "a list"]),
        ({"verify": {"extraChecks": [{"name": "a", "path": "docs"}]}}, "verify.extraChecks.0.path", ["must match"]),
        ({"release": {"pin": "x" * 201}}, "release.pin", ["at most 200"]),
        ({"tags": {"team": 1}}, "tags.team", ["is a whole number", "quotes"]),
    ],
)  # fmt: skip
def test_a_bad_value_is_reported_with_its_key_the_rule_and_a_fix(
    sections: dict[str, Any], path: str, told: list[str]
) -> None:
    """The message alone is enough to mend the file."""
    message = problems(**{"target": "local", **sections})[path]
    assert message.startswith(f"mlflow-backend:{path} ")
    assert message.endswith((".", "?"))
    for part in told:
        assert part in message


CLOUD = {"target": "ecs", "access": {"mode": "basic"}}


@pytest.mark.parametrize(
    ("sections", "path", "told"),
    [
        ({"target": "ecs"}, "access.mode", ["is none", "loopback", "basic, token or cloudIdentity"]),
        ({"target": "ecs"}, "access.mode", ["is none"]),
        ({"target": "local", "access": {"requestsPerMinute": 9}}, "access.requestsPerMinute", ["API keys", "is none"]),
        ({"target": "local", "backup": {"destination": "/b"}}, "backup.recoveryKey", ["is missing", "new-key"]),
        ({"target": "local", "backup": {"recoveryKey": AGE_KEY}}, "backup.destination", ["is missing"]),
        ({"target": "local", "backup": {"schedule": "0 3 * * *"}}, "backup.schedule", ["backup.destination"]),
        ({"target": "local", "backup": {"drillSchedule": "0 3 * * 1"}}, "backup.drillSchedule", ["not set"]),
        ({"target": "local", "server": {"maxArtifactMib": 20000}}, "server.maxArtifactMib",
         ["server.temporaryMib", "16384"]),
        ({**CLOUD, "database": {"mode": "adopt"}}, "database.existing", ["is missing", "database.mode is adopt"]),
        ({**CLOUD, "cache": {"existing": "redis://c:1"}}, "cache.existing", ["cache.mode is create"]),
        ({**CLOUD, "server": {"workers": 2}, "artifacts": {"mode": "adopt", "existing": "/data"}},
         "artifacts.existing", ["shared artifact store"]),
        ({**CLOUD, "scaling": {"maxReplicas": 2}, "artifacts": {"mode": "adopt", "existing": "/data"}},
         "artifacts.existing", ["shared artifact store"]),
        ({**CLOUD, "server": {"mlflowVersion": "3.15.0", "jobs": True}, "database": {"maxConnections": 9999}},
         "server.jobs", ["Redis", "3.16.0"]),
        ({**CLOUD, "server": {"extraFlags": {"port": "1"}}}, "server.extraFlags.port", ["description itself"]),
        ({**CLOUD, "server": {"replicas": 3}, "scaling": {"maxReplicas": 2}},
         "scaling.maxReplicas", ["server.replicas is 3"]),
        ({**CLOUD, "server": {"image": "mlflow:3.17.2"}}, "server.image", ["by a tag", "backup.protect"]),
        ({**CLOUD, "server": {"memory": 512}}, "server.memory", ["is 512 MiB", "need 560 MiB"]),
        ({**CLOUD, "server": {"memory": 2048, "jobs": True}}, "server.memory", ["jobs", "2960 MiB"]),
        ({**CLOUD, "database": {"poolSize": 1, "maxOverflow": 2}}, "database.poolSize", ["maxOverflow 2", "up to 4"]),
        ({**CLOUD, "server": {"port": 8080}}, "server.port", ["network.publicUrl"]),
        ({**CLOUD, "server": {"mlflowVersion": "3.4.0"}, "access": {"mode": "basic", "origins": ["https://a.example"]},
          "database": {"maxConnections": 9999}}, "access.origins", ["3.4.0", "3.5.0"]),
        ({**CLOUD, "database": {"mode": "adopt", "existing": "postgresql://db:5432/mlflow_auth"}},
         "database.existing", ["mlflow_auth", "users"]),
    ],
)  # fmt: skip
def test_a_rule_between_settings_is_reported_with_both_sides(
    sections: dict[str, Any], path: str, told: list[str]
) -> None:
    """Settings that are fine alone and wrong together are refused, and the message names what they disagree on."""
    message = problems(**sections)[path]
    for part in told:
        assert part in message


def test_a_path_for_artifacts_is_fine_for_one_process() -> None:
    """The shared-store rule is about more than one process, not about paths."""
    assert loaded(**CLOUD, artifacts={"mode": "adopt", "existing": "/data"}).artifacts.existing == "/data"


@pytest.mark.parametrize(
    ("sections", "needed", "available"),
    [
        # 2 x 1 x (1 x (2 x 15 + 2) + 4) + 2 + 2 + 3
        ({"target": "local"}, 79, 300),
        # 2 x 1 x (4 x (2 x 15 + 2) + 4) + 7
        ({"target": "local", "server": {"workers": 4}}, 271, 300),
        # 2 x 1 x (1 x (3 x 15 + 2) + 4 + 8 x 10) + 7
        ({"target": "local", "server": {"jobs": True}}, 269, 300),
        # a small pool bounds the job processes too: 2 x (1 x (3 x 5 + 2) + 4 + 8 x 5) + 7
        ({"target": "local", "server": {"jobs": True}, "database": {"poolSize": 3, "maxOverflow": 2}}, 129, 300),
        # basic auth has a store of its own, and its database is asked too: 2 x (1 x (3 x 15 + 3) + 4) + 7
        ({"target": "ecs", "access": {"mode": "basic"}}, 111, 225),
        # the most replicas count: 2 x 2 x (1 x (3 x 15 + 3) + 4) + 2 + 0 + 3
        ({**CLOUD, "scaling": {"maxReplicas": 2}, "monitoring": {"databaseConnections": 0}}, 213, 225),
        # before 3.8.0 each thread may open an engine for its first request: 2 x (2 x 15 + 40 x 2 + 2 + 4) + 7
        ({"target": "local", "server": {"mlflowVersion": "3.7.0"}}, 239, 300),
        # gunicorn has fewer threads: 2 x (2 x 15 + 8 x 2 + 2 + 4) + 7
        ({"target": "local", "server": {"mlflowVersion": "2.9.2"}}, 111, 300),
        # a class that follows no known pattern bounds nothing, and neither does an adopted database
        ({**CLOUD, "aws": {"database": {"instanceClass": "db.z9.huge"}}}, 111, 300),
        ({**CLOUD, "database": {"mode": "adopt", "existing": "postgresql://db:5432/mlflow"}}, 111, 300),
    ],
)
def test_the_connection_budget_is_exactly_this(sections: dict[str, Any], needed: int, available: int) -> None:
    """Every engine, process and revision that can hold a connection is counted."""
    budget = connection_budget(loaded(**sections))
    assert (budget.needed, budget.available, budget.fits) == (needed, available, True)
    assert budget.arithmetic.endswith(f"= {needed}")


@pytest.mark.parametrize(
    ("version", "workers", "jobs", "measured"),
    [
        ("2.9.2", 1, False, 20),
        ("2.22.5", 1, False, 18),
        ("3.1.4", 2, False, 44),
        ("3.4.0", 1, False, 59),
        ("3.10.1", 1, False, 13),
        ("3.17.2", 1, False, 13),
        ("3.17.2", 2, False, 22),
        ("3.17.2", 1, True, 15),
    ],
)
def test_the_connection_budget_covers_what_was_measured(
    version: str, workers: int, measured: int, *, jobs: bool
) -> None:
    """Peaks of pg_stat_activity under 32 clients, pool 3 + 2, on Postgres 16.14, are never more than was counted."""
    settings = loaded(
        target="local",
        server={"mlflowVersion": version, "workers": workers, "jobs": jobs},
        database={"poolSize": 3, "maxOverflow": 2},
    )
    assert connection_budget(settings).of_a_replica >= measured


def test_a_budget_that_does_not_fit_is_refused_with_the_arithmetic() -> None:
    """The database would refuse it later, under load; the message says how many and which factor to lower."""
    message = problems(target="local", server={"workers": 4}, database={"maxConnections": 270})[
        "database.maxConnections"
    ]
    assert "is 270, but 271 connections may be open at once" in message
    assert "2 revisions during an update x 1 replica(s) x 132 (4 worker(s) x (2 engines x 15 by poolSize 5" in message
    assert "Raise it to 271" in message
    assert loaded(target="local", server={"workers": 4}, database={"maxConnections": 271})


@pytest.fixture
def engine_config() -> Iterator[Any]:
    """Set the configuration as the Pulumi engine does, and forget it afterwards."""
    yield set_all_config
    set_all_config({}, [])


def test_the_engines_configuration_is_read(engine_config: Any) -> None:
    """The running program sees its own namespace only, structured values as JSON."""
    engine_config(
        {
            "mlflow-backend:target": "local",
            "mlflow-backend:server": '{"workers":2}',
            "aws:region": "eu-west-1",
            "other:target": "ecs",
        }
    )
    assert from_pulumi(pulumi.Config("mlflow-backend"), stack="local").server.workers == 2


def test_a_secret_that_is_malformed_is_not_shown(engine_config: Any) -> None:
    """Pulumi's own ConfigTypeError prints the value of a secret; this project's errors never do."""
    engine_config(
        {
            "mlflow-backend:target": "local",
            "mlflow-backend:server": '{"workers": "hunter2"',
            "mlflow-backend:hunt": "hunter2",
        },
        ["mlflow-backend:server", "mlflow-backend:hunt"],
    )
    with pytest.raises(SettingsError) as caught:
        from_pulumi(pulumi.Config("mlflow-backend"), stack="local")
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value)
    assert caught.value.exit_code is ExitCode.USAGE


SECRET = "planted-5ecret-value"
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(SECRET)
known_keys = st.sampled_from(sorted({
    *Settings.model_json_schema()["properties"],
    *(key for part in Settings.model_json_schema()["$defs"].values() for key in part["properties"]),
    "x-frame-options",
    "0",
}))  # fmt: skip
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(known_keys, inner, max_size=4)
)


def _settings_or_error(source: dict[str, str]) -> Settings | SettingsError:
    try:
        return load(source)
    except SettingsError as error:
        return error


@settings(deadline=None, max_examples=300)
@given(document=st.dictionaries(known_keys, documents, max_size=6), target=st.sampled_from(["local", "ecs", SECRET]))
def test_any_document_gives_settings_or_one_error_without_a_value(document: dict[str, Any], target: str) -> None:
    """Whatever is written, in whatever place, nothing crashes and no value is repeated."""
    outcome = _settings_or_error({"target": target} | {key: json.dumps(value) for key, value in document.items()})
    if isinstance(outcome, SettingsError):
        assert outcome.problems
        assert SECRET not in str(outcome)
        assert not outcome.__cause__
        assert outcome.__suppress_context__ or not outcome.__context__


@settings(deadline=None)
@given(text=st.text(max_size=30))
def test_any_text_in_place_of_a_section_is_refused_or_read(text: str) -> None:
    """Raw text that is not JSON, or JSON of another shape, is a problem with a key, never a crash."""
    outcome = _settings_or_error({"target": "local", "server": text})
    if isinstance(outcome, SettingsError):
        assert {problem.path.split(".")[0] for problem in outcome.problems} == {"server"}


def test_deeply_nested_json_is_reported() -> None:
    """A section nested beyond the parser's stack is a problem, not a crash."""
    assert "server" in problems(target="local", server="[" * 100_000)


@pytest.mark.parametrize("key", ["x\x1b[31mred", "line\nbreak", "k" * 500])
def test_an_odd_key_cannot_upset_a_terminal(key: str) -> None:
    """A key is shown on one line, printable and of bounded length."""
    (problem,) = [p for p in _problem_list({"target": "local", key: "1"}) if "not a known" in p]
    assert problem.isprintable()
    assert len(problem) < 400


def _problem_list(source: dict[str, str]) -> list[str]:
    outcome = _settings_or_error(source)
    assert isinstance(outcome, SettingsError)
    return [str(problem) for problem in outcome.problems]


def test_a_stack_file_is_read_as_the_engine_would(tmp_path: Path) -> None:
    """A script that has no engine sees the same settings as the program."""
    stack = tmp_path / "Pulumi.x.yaml"
    stack.write_text(
        "encryptionsalt: v1:abc\nconfig:\n  aws:region: eu-west-1\n  mlflow-backend:target: local\n"
        "  mlflow-backend:server:\n    workers: 2\n    extraFlags: {x-frame-options: DENY}\n",
        encoding="utf-8",
    )
    source = YamlSource.read(stack)
    assert source.unreadable == ()
    assert load(source).server.workers == 2


def test_encrypted_entries_are_present_but_unreadable(tmp_path: Path) -> None:
    """Ciphertext is neither a value nor an absence, wherever it stands."""
    stack = tmp_path / "Pulumi.x.yaml"
    document = {
        "config": {
            "mlflow-backend:target": "local",
            "mlflow-backend:server": {"image": {"secure": "v1:abc"}},
            "mlflow-backend:tags": {"secure": "v1:def"},
            "mlflow-backend:verify": {"extraChecks": [{"path": {"secure": "v1:ghi"}}]},
        }
    }
    stack.write_text(yaml.safe_dump(document), encoding="utf-8")
    source = YamlSource.read(stack)
    assert source.unreadable == ("server", "tags", "verify")
    assert list(source.keys()) == ["target"]


@pytest.mark.parametrize("content", [b"config: [hunter2", b"\xff\xfehunter2", None])
def test_a_stack_file_that_cannot_be_read_is_reported_without_its_content(
    tmp_path: Path, content: bytes | None
) -> None:
    """The YAML parser's own message quotes the line, which may hold a secret."""
    stack = tmp_path / "Pulumi.x.yaml"
    if content is not None:
        stack.write_bytes(content)
    with pytest.raises(SettingsError, match=r"Pulumi\.x\.yaml") as caught:
        YamlSource.read(stack)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "config:\n", "config: []\n", "- a\n"])
def test_a_stack_file_without_settings_lacks_its_target(tmp_path: Path, content: str) -> None:
    """An empty file is told like any other mistake."""
    stack = tmp_path / "Pulumi.x.yaml"
    stack.write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError, match="mlflow-backend:target is missing"):
        load(YamlSource.read(stack))


@pytest.mark.parametrize("stack_file", sorted(ROOT.glob("Pulumi.*.yaml")), ids=lambda path: path.name)
def test_every_stack_that_ships_is_valid(stack_file: Path) -> None:
    """No stack file of the repository breaks a rule."""
    source = YamlSource.read(stack_file)
    assert not source.unreadable
    load(source)


AWS = {"account": "123456789012", "region": "eu-west-1"}


@pytest.mark.parametrize(
    ("stack", "document", "schedule"),
    [
        ("production", {"target": "local"}, "0 * * * *"),
        ("local", {"target": "local"}, None),
        ("dev", {"target": "local"}, None),
        ("production", {"target": "local", "verify": {"schedule": "never"}}, "never"),
        ("dev", {"target": "local", "verify": {"schedule": "*/10 * * * *"}}, "*/10 * * * *"),
        ("staging", {"target": "ecs", "aws": {**AWS, "network": {"internal": True}}}, "0 * * * *"),
        ("dev", {"target": "ecs", "aws": {**AWS, "network": {"internal": True}}}, None),
        ("staging", {"target": "ecs", "aws": {**AWS, "network": {"egress": "endpoints"}}}, None),
        ("eks", {"target": "eks", "aws": AWS}, "0 * * * *"),
        ("cluster", {"target": "kubernetes"}, "0 * * * *"),
        ("gcp", {"target": "cloudrun"}, "0 * * * *"),
        ("gcp", {"target": "cloudrun", "gcp": {"access": {"identity": "iap"}}}, None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_backend_is_verified_each_hour_unless_people_develop_on_it(
    stack: str, document: dict[str, Any], schedule: str | None
) -> None:
    """Somebody looks between updates who set nothing; where nothing can look, nothing is promised."""
    assert of_stack(Settings.model_validate(document), stack).verify.schedule == schedule


def test_settings_cannot_be_changed() -> None:
    """What was validated is what is used."""
    with pytest.raises(ValueError, match="frozen"):
        loaded(target="local").server.workers = 5  # type: ignore[misc]
