"""The profile `full` against a server that answers as MLflow 3 does: each check, access, sweep, extra checks."""

from __future__ import annotations

import threading
import time
from email.parser import BytesParser
from email.policy import HTTP
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from mlflow_backend.contract import UsageError
from mlflow_backend.verify import artifacts, checks, runner
from mlflow_backend.verify.extra import extra_check
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.request import VerifyRequest
from mlflow_backend.verify.subjects import Subject
from mlflow_backend.verify.tracking import PREFIX, TAG
from tests.components.verify.fake_full import TRACES, FullMLflow
from tests.components.verify.fake_mlflow import REST, STORE, Asked, Reply, as_json, error

if TYPE_CHECKING:
    from mlflow_backend.verify.report import CheckReport, Report


@pytest.fixture(autouse=True)
def smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    """4 MiB show what 33 MiB show, if no real limit is under proof."""
    monkeypatch.setattr(artifacts, "LARGE", 4 << 20)


def verify(server: FullMLflow, *, only: tuple[str, ...] = (), **more: Any) -> Report:
    """Verify with all checks, or with some and what they need."""
    return runner.run(Subject(url=server.url, **more), VerifyRequest(profile="full", deadline_s=60, only=only))


def one(server: FullMLflow, check: str, **more: Any) -> CheckReport:
    """What one check came to."""
    return verify(server, only=(check,), **more).result_of(check)


def test_a_working_server_passes_and_keeps_nothing(full_server: FullMLflow) -> None:
    """A green full verification leaves no model, logged model, trace, artifact, run or experiment."""
    report = verify(full_server)
    assert report.verdict is Result.PASS, report.text()
    assert (full_server.models, full_server.logged, full_server.traces, full_server.artifacts) == ({}, {}, {}, {})
    assert full_server.alive("experiments") == []


CALLS = {
    "read-your-writes": ("POST", f"{REST}runs/set-tag"),
    "clock": ("GET", f"{REST}experiments/get"),
    "artifact-large": ("GET", f"{REST}artifacts/list"),
    "model-stage": ("POST", f"{REST}model-versions/transition-stage"),
    "model-delete": ("DELETE", f"{REST}model-versions/delete"),
    "logged-model": ("PATCH", f"{REST}logged-models/m-1"),
    "trace": ("POST", TRACES),
}


# `rights` needs users: test_verify_rights.py.
@pytest.mark.parametrize(
    "check", [check.name for check in checks.FULL if check not in checks.CORE and check.name != "rights"]
)
def test_every_check_of_full_turns_red_by_itself(full_server: FullMLflow, check: str) -> None:
    """Where one call alone fails, its own check alone is red, and what was made is still removed."""
    method, path = CALLS[check]
    full_server.fault = lambda asked: (
        error(500, "INTERNAL_ERROR")
        if (asked.method, asked.path) == (method, path) and asked.query.get("experiment_id") != "0"
        else None
    )
    report = verify(full_server)
    assert [item.name for item in report.checks if item.result is Result.FAIL] == [check], report.text()
    assert full_server.models == {}
    assert full_server.alive("experiments") == []


def test_older_servers_skip_what_they_do_not_have(full_server: FullMLflow) -> None:
    """MLflow 2 has neither logged models nor traces of the present form: a visible skip."""
    full_server.version = "2.9.2"
    report = verify(full_server)
    assert report.verdict is Result.PASS
    for name in ("logged-model", "trace"):
        assert "2.9.2" in report.result_of(name).sentence


def test_a_size_limit_is_found_by_the_large_artifact(full_server: FullMLflow) -> None:
    """A front that takes 2 MiB passes the usual artifact; only the large one shows it."""
    full_server.fault = lambda asked: Reply(status=413) if len(asked.body) > 2 << 20 else None
    report = verify(full_server)
    assert report.result_of("artifact").result is Result.PASS
    assert report.result_of("artifact-large").code == "body-limit"


def test_reads_from_another_server_are_red(full_server: FullMLflow) -> None:
    """A reader on another database does not know the run; one behind a cache knows an older state."""
    full_server.fault = lambda asked: error(404, "RESOURCE_DOES_NOT_EXIST") if asked.path.endswith("runs/get") else None
    assert one(full_server, "read-your-writes").code == "another-database"
    kept: list[Reply] = []

    def cached(asked: Asked) -> Reply | None:
        if not asked.path.endswith("runs/get"):
            return None
        kept.append(kept[0] if kept else full_server._regular(asked))
        return kept[0]

    full_server.fault = cached
    assert one(full_server, "read-your-writes").code == "stale-or-lost"


@pytest.mark.parametrize(("where", "code"), [("front", "date-shifted"), ("server", "clock-skew")])
def test_clocks_that_disagree_are_red(full_server: FullMLflow, where: str, code: str) -> None:
    """A shifted Date is distinguished from a server whose own clock is wrong."""
    if where == "front":
        full_server.date_offset_s = 1200
    else:
        full_server.clock_offset_s = -1200
    assert one(full_server, "clock").code == code


def guarded(asked: Asked) -> Reply | None:
    """A server that wants a token everywhere but on /health."""
    if asked.path.startswith("/health") or asked.headers.get("authorization") == "Bearer right":
        return None
    return error(401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    ("token", "fault", "code"),
    [
        ("right", guarded, ""),
        ("wrong", guarded, "credentials-rejected"),
        ("right", lambda _asked: None, "access-open"),
        ("right", lambda asked: None if asked.path.startswith(STORE) else guarded(asked), "access-open"),
    ],
)
def test_access_is_asked_for_and_given(
    full_server: FullMLflow, monkeypatch: pytest.MonkeyPatch, token: str, fault: Any, code: str
) -> None:
    """Credentials are accepted, refused when wrong, and needed on the API and on the artifact route alike."""
    monkeypatch.setenv("PROBE_TOKEN", token)
    full_server.fault = fault
    assert one(full_server, "credentials", credentials={"token": "env:PROBE_TOKEN"}).code == code


@pytest.mark.parametrize("hole", ["/v1/traces", "/ajax-api/2.0/mlflow/webhooks", "/graphql", "/ajax-api/3.0/jobs"])
@pytest.mark.parametrize("wanting", ["x-api-key", "nothing"])
def test_a_family_of_routes_that_is_open_is_red(
    full_server: FullMLflow, monkeypatch: pytest.MonkeyPatch, hole: str, wanting: str
) -> None:
    """To whoever has nothing, and to whoever has a wrong key; named by its route."""
    monkeypatch.setenv("PROBE_TOKEN", "right")

    def leaky(asked: Asked) -> Reply | None:
        let_in = wanting == "nothing" or wanting in asked.headers
        return Reply(status=404) if asked.path.startswith(hole) and let_in else guarded(asked)

    full_server.fault = guarded
    assert one(full_server, "doors", credentials={"token": "env:PROBE_TOKEN"}).result is Result.PASS
    full_server.fault = leaky
    found = one(full_server, "doors", credentials={"token": "env:PROBE_TOKEN"})
    assert (found.code, hole in found.sentence) == ("door-open", True)


@pytest.mark.parametrize(
    ("change", "code"),
    [({}, ""), ({"host": "other"}, "not-forwarded"), ({"scheme": "https"}, ""),
     ({"client": "203.0.113.77"}, "not-forwarded"), ({"forwarded": False}, "not-forwarded")],
)  # fmt: skip
def test_a_front_that_hides_the_caller_is_red(full_server: FullMLflow, change: dict[str, Any], code: str) -> None:
    """Host, scheme and address are those of the request, and not what a caller says."""
    host = full_server.url.removeprefix("http://")
    seen = {"host": host, "scheme": "http", "client": "127.0.0.1", "forwarded": True} | change
    full_server.fault = lambda asked: (
        as_json({"status": "ok", "components": {}, "request": seen}) if asked.path == "/health/components" else None
    )
    assert one(full_server, "forwarding").code == code


def test_credentials_that_were_not_named_are_inconclusive(full_server: FullMLflow) -> None:
    """Where access is on and the verifier has none, nothing can be said of the backend."""
    full_server.fault = guarded
    assert verify(full_server, access=True).verdict is Result.INCONCLUSIVE


OK = {"state": "ok", "detail": "fine"}
LOST = {"state": "failed", "detail": "These tables are missing or have lost their primary key: webhooks."}
REFUSED = {"state": "failed", "detail": "refused"}
PARTS = {"status": "degraded", "components": {"database": OK, "redis": REFUSED}}


@pytest.mark.parametrize(
    ("reply", "result", "code"),
    [
        (as_json(PARTS, 503), Result.FAIL, "component-down"),
        (as_json({"status": "degraded", "components": {"keys": REFUSED}}, 503), Result.FAIL, "keys-at-rest"),
        (as_json({"status": "degraded"}, 503), Result.FAIL, "component-down"),
        (as_json({"status": "degraded", "components": {"database": LOST}}, 503), Result.FAIL, "table-lost"),
        (as_json({"status": "ok"}), Result.PASS, ""),
        (as_json({"status": "ok", "components": {"database": OK, "redis": {"state": "off"}}}), Result.PASS, ""),
        (as_json({}), Result.FAIL, "garbage"),
        (error(500, "INTERNAL_ERROR"), Result.FAIL, "server-error"),
    ],
)
def test_the_plugin_is_believed_where_it_is(full_server: FullMLflow, reply: Reply, result: Result, code: str) -> None:
    """/health/components names the part that is down; without the plugin it is a visible skip."""
    full_server.fault = lambda asked: reply if asked.path == "/health/components" else None
    assert (one(full_server, "components").result, one(full_server, "components").code) == (result, code)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (as_json({"status": "ready"}), ""),
        (as_json({"status": "unready"}, 503), "not-ready"),
        (
            as_json({"status": "unready", "detail": "The tracking database is at a, and needs b."}, 503),
            "schema-mismatch",
        ),
        (as_json({"status": "unready", "detail": "The tracking database: refused"}, 503), "not-ready"),
        (Reply(status=503, body=b"<html>"), "no-server-behind"),
    ],
)
def test_readiness_distinguishes_a_wrong_schema_from_a_database_that_is_away(
    full_server: FullMLflow, reply: Reply, code: str
) -> None:
    """/health/ready compares the schema, which no call of MLflow's own does."""
    full_server.fault = lambda asked: reply if asked.path == "/health/ready" else None
    assert one(full_server, "ready").code == code


def test_a_part_that_was_slow_once_is_no_fault(full_server: FullMLflow) -> None:
    """A server keeps what it found for seconds: only one that stays degraded is red."""
    answers = iter([as_json(PARTS, 503), as_json({"status": "ok", "components": {}})])
    full_server.fault = lambda asked: next(answers, None) if asked.path == "/health/components" else None
    assert one(full_server, "components").result is Result.PASS


@pytest.mark.parametrize(
    ("state", "status", "result"),
    [("failed", 503, Result.FAIL), ("ok", 200, Result.PASS), ("off", 200, Result.SKIP)],
)
def test_redis_is_checked_by_the_plugin_if_something_uses_it(
    full_server: FullMLflow, state: str, status: int, result: Result
) -> None:
    """Redis is seen through the plugin only, and a skip says where it is not."""
    assert "nor a plugin" in one(full_server, "redis", jobs=True).sentence
    parts = {"status": "ok", "components": {"redis": {"state": state, "detail": "Redis answers."}}}
    full_server.fault = lambda asked: as_json(parts, status) if asked.path == "/health/components" else None
    assert one(full_server, "redis", jobs=False).result is result


def leftover(server: FullMLflow, key: str, abandoned_at: float) -> None:
    """What a killed verification leaves: an experiment with a run and an artifact, and a model."""
    tag = [{"key": TAG, "value": str(int(abandoned_at))}]
    server.experiments[key] = {"experiment_id": key, "name": f"{PREFIX}/{key}", "tags": tag}
    server.runs[f"run{key}"] = {"info": {"run_id": f"run{key}", "experiment_id": key}, "params": {}, "metrics": []}
    server.artifacts[f"{key}/run{key}/artifacts/probe/small.bin"] = b"left"
    server.models[f"{PREFIX}-{key}"] = {"name": f"{PREFIX}-{key}", "tags": tag}


def test_leftovers_are_swept(full_server: FullMLflow) -> None:
    """What a killed verification left is removed with its artifacts and its model."""
    leftover(full_server, "77", time.time() - 1)
    report = verify(full_server, only=("experiment",))
    assert report.result_of("sweep").sentence == "2 leftovers of earlier verifications removed"
    assert (full_server.alive("experiments"), full_server.alive("runs")) == ([], [])
    assert (full_server.artifacts, full_server.models) == ({}, {})


def test_a_verification_that_still_runs_is_not_swept(full_server: FullMLflow) -> None:
    """Neither is what a person made under the reserved prefix, for it has no tag."""
    leftover(full_server, "77", time.time() + 100)
    leftover(full_server, "78", time.time() - 1)
    full_server.experiments["78"]["tags"] = []
    full_server.models[f"{PREFIX}-78"]["tags"] = []
    assert verify(full_server, only=("experiment",)).result_of("sweep").sentence == "nothing left behind"
    assert sorted(full_server.alive("experiments")) == ["77", "78"]
    assert len(full_server.models) == 2


def test_leftovers_that_cannot_be_removed_do_not_turn_the_verdict(full_server: FullMLflow) -> None:
    """They say nothing about the backend as it is now; the skip names them."""
    leftover(full_server, "77", time.time() - 1)
    full_server.fault = lambda asked: error(403, "PERMISSION_DENIED") if asked.experiment == "77" else None
    report = verify(full_server, only=("experiment",))
    assert report.verdict is Result.PASS, report.text()
    assert "1 of 2 leftovers" in report.result_of("sweep").sentence


def extra(**more: Any) -> tuple[Any, ...]:
    """One extra check, as settings give it."""
    return (extra_check({"name": "gateway", "path": "/gateway", **more}),)


ANSWER = as_json({"status": "ok", "models": [{"id": 7}]})


@pytest.mark.parametrize(
    ("more", "reply", "code"),
    [
        ({}, ANSWER, ""),
        ({"status": 204.0}, Reply(status=204), ""),
        ({"method": "POST"}, ANSWER, ""),
        ({"json_path": "$.status", "json_value": "ok"}, ANSWER, ""),
        ({"json_path": "$.models[0].id", "json_value": 7.0}, ANSWER, ""),
        ({"json_path": "$.models[1].id", "json_value": 7}, ANSWER, "extra-value"),
        ({"json_path": "$.status", "json_value": "down"}, ANSWER, "extra-value"),
        ({"json_path": "$.status", "json_value": "ok"}, Reply(body=b"hello"), "extra-value"),
        ({"status": 204}, ANSWER, "extra-status"),
        ({}, Reply(status=418), "extra-status"),
        ({}, Reply(status=502), "no-server-behind"),
        ({"status": 404}, Reply(status=404), ""),
    ],
)
def test_extra_checks_judge_status_and_value(
    full_server: FullMLflow, more: dict[str, Any], reply: Reply, code: str
) -> None:
    """A check of the user's own is part of the verdict, with a cause."""
    full_server.fault = lambda asked: reply if asked.path == "/gateway" else None
    report = verify(full_server, only=("extra-gateway",), extra_checks=extra(**more))
    assert report.result_of("extra-gateway").code == code
    assert report.verdict is (Result.FAIL if code else Result.PASS)


def test_extra_headers_come_by_reference_and_stay_secret(
    full_server: FullMLflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A header's value is resolved in memory, sent, and blanked where it comes back."""
    monkeypatch.setenv("PROBE_KEY", "s3cret-key")
    full_server.fault = lambda asked: as_json({"key": asked.headers.get("x-key")}) if asked.path == "/gateway" else None
    more = {"headers": {"X-Key": "env:PROBE_KEY"}, "json_path": "$.key", "json_value": "other"}
    report = verify(full_server, only=("extra-gateway",), extra_checks=extra(**more))
    assert "***" in report.result_of("extra-gateway").sentence
    assert "s3cret" not in report.json()


def test_an_extra_header_that_cannot_be_read_is_inconclusive(full_server: FullMLflow) -> None:
    """A missing header is the probe's fault."""
    more = {"headers": {"X-Key": "env:PROBE_NOT_SET"}}
    assert one(full_server, "extra-gateway", extra_checks=extra(**more)).result is Result.INCONCLUSIVE


def steps(*documents: dict[str, Any]) -> tuple[Any, ...]:
    """Extra checks in their order, as settings give them."""
    return tuple(extra_check(document) for document in documents)


UPLOADED = {
    "name": "upload", "path": "/mlops/scripts", "method": "POST", "status": 201, "save": {"ID": "$.id"},
    "upload": {"field": "file", "name": "train.py", "text": "print(1)\n"},
}  # fmt: skip
WAITED = {"name": "trained", "path": "/mlops/status/${ID}", "json_path": "$.state", "json_value": "done", "within": 20}
INFERRED = {"name": "infer", "path": "/mlops/infer", "method": "POST", "body": {"model": "${ID}", "x": [1, 2]}}
ID = 'a/../"b'


class Gateway:
    """A service that takes a script, trains for three questions, and infers with what it trained."""

    def __init__(self, *, questions: int = 3) -> None:
        self.left = questions
        self.form = b""
        self.inferred: Any = None

    def fault(self, asked: Asked) -> Reply | None:
        """Answer below /mlops."""
        if asked.path == "/mlops/scripts":
            self.form = asked.headers["content-type"].encode() + b"\n" + asked.body
            return as_json({"id": ID}, 201)
        if asked.path == f"/mlops/status/{quote(ID, safe='')}":
            self.left -= 1
            return as_json({"state": "done" if self.left <= 0 else "training"})
        if asked.path == "/mlops/infer":
            self.inferred = asked.json
            return as_json({"y": 3})
        return None


def test_extra_checks_upload_wait_and_hand_values_on(full_server: FullMLflow) -> None:
    """A gateway is used as its users do: upload a script, wait for the training, infer with what it made."""
    gateway = Gateway()
    full_server.fault = gateway.fault
    checks_of_gateway = steps(UPLOADED, WAITED, INFERRED)
    report = verify(full_server, only=("extra-infer", "extra-trained"), extra_checks=checks_of_gateway)
    assert report.verdict is Result.PASS, report.text()
    assert gateway.inferred == {"model": ID, "x": [1, 2]}
    head, _, rest = gateway.form.partition(b"\n")
    message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + head + b"\r\n\r\n" + rest)
    (part,) = message.iter_parts()
    assert (part.get_filename(), part.get_payload(decode=True)) == ("train.py", b"print(1)\n")
    times = [timing for timing in report.timings if timing.endpoint == "GET /mlops/status/${ID}"]
    assert len(times) == 3


def test_a_training_that_does_not_end_is_red(full_server: FullMLflow) -> None:
    """What was waited for and did not come is a failure with the last answer, and what needs it is skipped."""
    full_server.fault = Gateway(questions=1000).fault
    impatient = {**WAITED, "within": 1, "save": {"STATE": "$.state"}}
    after = {"name": "after", "path": "/mlops/${STATE}"}
    report = verify(full_server, only=("extra-after",), extra_checks=steps(UPLOADED, impatient, after))
    assert report.result_of("extra-trained").code == "extra-value"
    assert report.result_of("extra-after").result is Result.SKIP


def test_an_answer_without_the_value_to_save_is_red(full_server: FullMLflow) -> None:
    """A later check must not be sent with a value that is none."""
    full_server.fault = Gateway().fault
    broken = {**UPLOADED, "save": {"ID": "$.identifier"}}
    report = verify(full_server, only=("extra-trained",), extra_checks=steps(broken, WAITED))
    assert report.result_of("extra-upload").code == "extra-unsaved"
    assert report.result_of("extra-trained").result is Result.SKIP
    with pytest.raises(UsageError, match="ID"):
        verify(full_server, extra_checks=steps(WAITED))


@pytest.mark.parametrize("broken", [{"name": "x"}, {"path": "/x"}, {"name": "x", "path": "x"}, {"colour": "red"}])
def test_an_extra_check_that_cannot_be_run_is_refused(broken: dict[str, str]) -> None:
    """A broken extra check is refused before anything is asked."""
    with pytest.raises(UsageError, match="extraChecks"):
        extra_check(broken)


def test_a_store_that_hangs_does_not_keep_the_experiment(full_server: FullMLflow) -> None:
    """Cleanup gives each thing its share of the time: the experiment goes although the artifact cannot."""
    never = threading.Event()
    full_server.fault = lambda asked: Reply(hold=never) if asked.path.startswith(STORE) else None
    report = runner.run(Subject(url=full_server.url), VerifyRequest(deadline_s=6, only=("artifact",)))
    never.set()
    assert "left behind: artifact" in report.result_of("cleanup").sentence
    assert full_server.alive("experiments") == []
