"""Checks act as MLflow's clients do, and find what fronts and databases do to clients alone."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend import environments
from mlflow_backend.verification import resource
from mlflow_backend.verify import artifacts, checks, client, runner
from mlflow_backend.verify.clients.run import actions
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.request import VerifyRequest
from mlflow_backend.verify.subjects import Subject
from mlflow_backend.verify.tracking import MANY, TEXT
from tests.components.verify.fake_mlflow import REST, STORE, Asked, FakeMLflow, Reply, as_json, error

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend.verify.report import Report


def verify(server: FakeMLflow, **more: Any) -> Report:
    """Verify with the profile `core`."""
    return runner.run(Subject(url=server.url, **more), VerifyRequest(deadline_s=60))


def after(server: FakeMLflow, change: Callable[[Asked, Reply], Reply]) -> None:
    """Let something in front change each answer."""
    server.fault = lambda asked: change(asked, server._regular(asked))


def red(report: Report) -> dict[str, str]:
    """The codes of the checks that are red, by check."""
    return {check.name: check.code for check in report.checks if check.result is Result.FAIL}


def test_every_request_is_one_of_mlflows_client(server: FakeMLflow) -> None:
    """Each has the client's own name and the encodings that it takes, of the version declared or of the newest."""
    verify(server)
    verify(server, expected_version="3.4.0")
    agents = [asked.headers["user-agent"] for asked in server.asked]
    assert set(agents) == {f"mlflow-python-client/{client.CLIENT}", "mlflow-python-client/3.4.0"}
    assert {asked.headers["accept-encoding"] for asked in server.asked} == {"gzip, deflate"}
    assert environments.locked_versions()[-1] == client.CLIENT


def test_the_methods_that_clients_use_are_used(server: FakeMLflow) -> None:
    """What a front may drop by method is sent in `core`."""
    verify(server)
    assert {asked.method for asked in server.asked} == {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}


def test_bodies_and_answers_are_as_large_as_real_ones(server: FakeMLflow) -> None:
    """One batch of a thousand metrics below MLflow's limit of a million bytes, one search answer above 256 KiB."""
    sizes: list[int] = []

    def note(asked: Asked, reply: Reply) -> Reply:
        if asked.path.endswith("runs/search"):
            sizes.append(len(reply.body))
        return reply

    after(server, note)
    verify(server)
    (batch,) = (asked for asked in server.asked if len(asked.json_or_nothing.get("metrics", ())) == len(MANY))
    assert len(MANY) == 1000
    assert 1 << 18 < len(batch.body) < 1_000_000
    assert max(map(len, MANY)) <= 250
    assert max(sizes) > 1 << 18


def test_text_of_every_alphabet_is_in_names_parameters_and_tags(server: FakeMLflow) -> None:
    """Beyond Latin, beyond the basic plane, in what is named, and sent as it is."""
    verify(server)
    paths = ("experiments/create", "runs/create", "log-parameter", "log-inputs", "registered-models/create")
    for path in (*paths, "model-versions/create", "registered-models/update"):
        assert any(TEXT in str(asked.json) for asked in server.asked if asked.path.endswith(path)), path
    assert max(TEXT) > "\uffff"


@pytest.mark.parametrize("manner", [Reply(status=403, body=b"<html>bots</html>"), Reply(status=406), Reply(status=503)])
@pytest.mark.parametrize("where", ["/", REST])
def test_a_front_that_refuses_the_client_by_name_is_named(server: FakeMLflow, manner: Reply, where: str) -> None:
    """Whatever status it answers with, everywhere or on the API only; a browser passes."""
    server.fault = lambda asked: (
        manner if "mlflow" in asked.headers["user-agent"] and asked.path.startswith(where) else None
    )
    report = verify(server)
    assert set(red(report).values()) == {"client-refused"}, report.text()


@pytest.mark.parametrize("size", [1 << 11, 1 << 16, 1 << 17, 1 << 18])
def test_a_front_that_cuts_answers_is_named(server: FakeMLflow, size: int) -> None:
    """JSON that ends early, with a length that fits what came."""
    after(server, lambda asked, reply: replace(reply, body=reply.body[:size]) if asked.path.startswith(REST) else reply)
    report = verify(server)
    assert set(red(report).values()) == {"answer-cut"}, report.text()


@pytest.mark.parametrize("limit", [1 << 16, 1 << 18])
def test_a_front_that_limits_bodies_of_calls_is_named(server: FakeMLflow, limit: int) -> None:
    """A batch of a training job does not pass where small calls do."""
    server.fault = lambda asked: Reply(status=413) if len(asked.body) > limit and asked.method == "POST" else None
    assert red(verify(server)) == {"log-batch-large": "body-limit"}


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "HEAD", "PUT"])
@pytest.mark.parametrize(
    ("reply", "codes"),
    [
        (Reply(status=405), {"method-blocked"}),
        (Reply(status=501, body=b"<html>no</html>"), {"method-blocked"}),
        (Reply(status=403, body=b"<html>no</html>"), {"method-forbidden", "forbidden"}),
    ],
)
def test_a_front_that_filters_a_method_is_named(server: FakeMLflow, method: str, reply: Reply, codes: set[str]) -> None:
    """Each method that clients use, by each status that fronts answer with."""
    server.fault = lambda asked: reply if asked.method == method else None
    found = set(red(verify(server)).values())
    assert found
    assert found <= codes


def broken(name: str, body: bytes) -> Reply:
    """An answer whose encoding is not as it says."""
    head = {"Content-Type": "application/json"}
    gzipped = {**head, "Content-Encoding": "gzip"}
    return {
        "compressed, header lost": Reply(body=gzip.compress(body), headers=head),
        "deflated, header lost": Reply(body=zlib.compress(body), headers=head),
        "claims gzip": Reply(body=body, headers=gzipped),
        "compressed twice": Reply(body=gzip.compress(gzip.compress(body)), headers=gzipped),
        "never asked for": Reply(body=b"\x0b\x02\x80abc", headers={**head, "Content-Encoding": "br"}),
        "garbled": Reply(body=gzip.compress(body)[:10] + b"\xff" * 40, headers=gzipped),
    }[name]


@pytest.mark.parametrize(
    "name",
    [
        "compressed, header lost",
        "deflated, header lost",
        "claims gzip",
        "compressed twice",
        "never asked for",
        "garbled",
    ],
)
def test_a_front_that_breaks_compression_is_named(server: FakeMLflow, name: str) -> None:
    """Compressed otherwise than the header says, or than was asked for."""
    after(server, lambda asked, reply: broken(name, reply.body) if asked.path.startswith(REST) else reply)
    report = verify(server)
    assert set(red(report).values()) == {"broken-encoding"}, report.text()


def test_a_front_that_compresses_rightly_passes(server: FakeMLflow) -> None:
    """What clients decode, the checks decode: JSON, artifacts and the UI's script."""

    def compress(asked: Asked, reply: Reply) -> Reply:
        if "gzip" not in asked.headers["accept-encoding"] or reply.status != 200:
            return reply
        return replace(reply, body=gzip.compress(reply.body), headers={**reply.headers, "Content-Encoding": "gzip"})

    after(server, compress)
    report = verify(server)
    assert report.verdict is Result.PASS, report.text()


def ranged(asked: Asked, reply: Reply) -> Reply:
    """A right answer to a range."""
    if "range" not in asked.headers:
        return reply
    first, last = map(int, asked.headers["range"].removeprefix("bytes=").split("-"))
    said = f"bytes {first}-{last}/{len(reply.body)}"
    return replace(reply, status=206, body=reply.body[first : last + 1], headers={"Content-Range": said})


def shifted(reply: Reply) -> Reply:
    """A piece that begins elsewhere than it says."""
    return replace(reply, body=b"x" + reply.body[:-1])


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (lambda reply: reply, ""),
        (shifted, "wrong-range"),
        (lambda reply: replace(reply, status=200), "wrong-range"),
        (lambda reply: replace(reply, headers={"Content-Range": "bytes 0-3999/1310720"}), "wrong-range"),
        (lambda reply: replace(reply, headers={}), "wrong-range"),
        (lambda reply: replace(reply, body=b""), "wrong-range"),
        (lambda _reply: Reply(status=416), "wrong-range"),
    ],
)
def test_ranges_are_right_or_ignored(server: FakeMLflow, wrong: Callable[[Reply], Reply], code: str) -> None:
    """Ignoring a range is allowed (in all other tests it is ignored); another piece than was asked for is not."""

    def answer(asked: Asked, reply: Reply) -> Reply:
        piece = ranged(asked, reply)
        return wrong(piece) if piece is not reply else reply

    after(server, answer)
    assert verify(server).result_of("artifact").code == code


def test_a_wrong_head_is_named(server: FakeMLflow) -> None:
    """A front that answers HEAD itself announces another length."""
    server.fault = lambda asked: Reply(body=b"a page of mine") if asked.method == "HEAD" else None
    assert red(verify(server)) == {"artifact": "wrong-head"}


LOST = {
    "experiment tags": ("experiments/create", "tags", "experiment-search"),
    "run tags": ("runs/create", "tags", "run-search"),
    "batch tags": ("runs/log-batch", "tags", "run-get"),
    "batch parameters": ("runs/log-batch", "params", "run-get"),
    "metrics": ("runs/log-batch", "metrics", "run-get"),
    "datasets": ("runs/log-inputs", "datasets", "run-get"),
    "model tags": ("registered-models/create", "tags", "model-update"),
    "version tags": ("model-versions/create", "tags", "model-alias"),
    "version description": ("model-versions/create", "description", "model-alias"),
    "model description": ("registered-models/update", "description", "model-update"),
}


@pytest.mark.parametrize("lost", LOST)
def test_what_is_discarded_silently_is_red(server: FakeMLflow, lost: str) -> None:
    """Every kind of thing that `core` writes is read back: where one is lost, the check that reads it is red."""
    call, key, check = LOST[lost]

    def discard(asked: Asked) -> Reply | None:
        if asked.path != f"{REST}{call}" or not asked.json.get(key):
            return None
        document = {**asked.json, key: "" if key == "description" else []}
        return server._regular(replace(asked, body=as_json(document).body))

    server.fault = discard
    found = red(verify(server))
    assert found[check] == "stale-or-lost"
    assert set(found.values()) == {"stale-or-lost"}


@pytest.mark.parametrize(
    ("call", "check"),
    [("runs/log-parameter", "run-get"), ("registered-models/alias", "model-update"), ("runs/update", "run-get")],
)
def test_a_whole_call_that_is_discarded_is_red(server: FakeMLflow, call: str, check: str) -> None:
    """A 200 for what was not done is found by reading back."""
    server.fault = lambda asked: as_json({}) if asked.path == f"{REST}{call}" and asked.method == "POST" else None
    assert verify(server).result_of(check).code == "stale-or-lost"


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("kept", ["0.0", "null", "1e300"])
def test_metrics_that_are_no_numbers_read_back(server: FakeMLflow, value: str, kept: str) -> None:
    """Not a number and both infinities are compared, however MLflow writes them."""

    def change(asked: Asked, reply: Reply) -> Reply:
        other = reply.body.replace(f'"{value}"'.encode(), kept.encode())
        return replace(reply, body=other) if asked.path.endswith("runs/get") else reply

    after(server, change)
    assert verify(server).result_of("run-get").code == "stale-or-lost"


def test_infinity_may_be_kept_as_the_largest_number(server: FakeMLflow) -> None:
    """Databases have no infinity: MLflow keeps the largest number that they have."""

    def change(_asked: Asked, reply: Reply) -> Reply:
        return replace(reply, body=reply.body.replace(b'"Infinity"', b"1.7976931348623157e+308"))

    after(server, change)
    assert verify(server).verdict is Result.PASS


@pytest.mark.parametrize(
    "call", ["experiments/create", "runs/create", "registered-models/create", "model-versions/create"]
)
@pytest.mark.parametrize("second", [True, False])
def test_a_post_that_arrives_twice_is_named(server: FakeMLflow, call: str, *, second: bool) -> None:
    """A front that repeats a POST, whichever of the two answers comes back."""
    made: dict[str, int] = {}

    def create(asked: Asked) -> Reply:
        """Answer as MLflow does: names are unique, versions count."""
        name = str(asked.json.get("name", ""))
        made[name] = made.get(name, 0) + 1
        if call == "model-versions/create":
            version = {**asked.json, "version": str(made[name])}
            server.models[name]["latest_versions"] = [version]
            return as_json({"model_version": version})
        if name and made[name] > 1:
            return error(400, "RESOURCE_ALREADY_EXISTS")
        return server._regular(asked)

    def twice(asked: Asked) -> Reply | None:
        if asked.path != f"{REST}{call}":
            return None
        answers = (create(asked), create(asked))
        return answers[second]

    server.fault = twice
    codes = set(red(verify(server)).values())
    # The first answer of a create whose name is unique is all that there is to see: nothing was done twice.
    seen = second or call in {"runs/create", "model-versions/create"}
    assert codes == ({"request-repeated"} if seen else set())


@pytest.mark.parametrize(
    "default",
    [
        {"lifecycle_stage": "deleted"},
        {"artifact_location": "s3://elsewhere/0"},
        {"artifact_location": "/var/mlruns/0"},
    ],
)
def test_a_default_experiment_that_surprises_is_a_warning(server: FakeMLflow, default: dict[str, str]) -> None:
    """It is seen and explained, and does not turn the verdict: people may have chosen it."""
    server.default.update(default)
    report = verify(server)
    check = report.result_of("default-experiment")
    assert (report.verdict, check.result, check.code) == (Result.PASS, Result.WARN, "default-experiment")
    assert check.next_step in report.text()


@pytest.mark.parametrize(
    ("reply", "result"),
    [(error(403, "PERMISSION_DENIED"), Result.SKIP), (error(404, "RESOURCE_DOES_NOT_EXIST"), Result.WARN)],
)
def test_a_default_experiment_that_cannot_be_read_turns_nothing(
    server: FakeMLflow, reply: Reply, result: Result
) -> None:
    """Whoever verifies may have fewer rights than to read it; and it may be gone for good."""
    server.fault = lambda asked: reply if asked.query.get("experiment_id") == "0" else None
    report = verify(server)
    assert (report.verdict, report.result_of("default-experiment").result) == (Result.PASS, result)


@pytest.mark.parametrize(
    ("missing", "code"),
    [
        (Reply(status=500, body=b"Internal Server Error"), "temporary-folder"),
        (error(500, "INTERNAL_ERROR"), "upload-failed"),
    ],
)
@pytest.mark.parametrize("status", [500, 502, 503])
def test_an_upload_that_fails_before_the_store_is_distinguished(
    server: FakeMLflow, missing: Reply, code: str, status: int
) -> None:
    """The store answers a listing: so it is the server's temporary folder, or the store takes no writes."""

    def fault(asked: Asked) -> Reply | None:
        if not asked.path.startswith(STORE) or asked.method == "DELETE" or asked.query:
            return None
        return Reply(status=status, body=b"broken") if asked.method == "PUT" else missing

    server.fault = fault
    assert verify(server).result_of("artifact").code == code


@pytest.mark.parametrize(("limit", "usual", "large"), [(None, 5 << 18, 33 << 20), (1, 15 << 16, 15 << 16)])
def test_artifacts_stay_below_the_servers_own_limit(limit: int | None, usual: int, large: int) -> None:
    """A limit that the settings chose is probed from below, and never refuses the verification."""
    assert artifacts.size_below(limit, artifacts.USUAL) == usual
    assert artifacts.size_below(limit, artifacts.MOST if limit else artifacts.LARGE) == large
    assert artifacts.size_below(1 << 20, artifacts.MOST) == artifacts.MOST < client.MAX_BODY


def test_the_limit_of_the_settings_reaches_the_checks_from_pulumi() -> None:
    """Pulumi gives whole numbers back as floats."""
    assert resource.subject_of({"url": "http://h", "maxUploadMib": 5.0}).max_upload_mib == 5
    assert resource.subject_of({"url": "http://h", "maxUploadMib": None}).max_upload_mib is None


def test_an_artifact_of_the_servers_own_limit_passes(server: FakeMLflow) -> None:
    """The verification of a server that takes 1 MiB sends less."""
    server.fault = lambda asked: Reply(status=413) if len(asked.body) > 1 << 20 else None
    assert verify(server, max_upload_mib=1).verdict is Result.PASS
    assert red(verify(server)) == {"artifact": "body-limit"}


def test_a_gate_asks_for_all_that_its_checks_need() -> None:
    """A profile never waits for a check that it leaves out, and a gate sends what training jobs send."""
    for profile in checks.PROFILES.values():
        names = {check.name for check in profile}
        assert all(set(check.needs) <= names for check in profile)
    assert {"batch", "dataset", "large_artifact"} <= set(actions())
