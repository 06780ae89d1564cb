"""The runner against a server that answers as MLflow does: order, deadline, cleanup, verdict."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.verify import checks, runner
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.request import VerifyRequest
from mlflow_backend.verify.subjects import Live, Subject
from mlflow_backend.verify.tracking import PREFIX
from tests.components.verify.fake_mlflow import REST, STORE, Asked, FakeMLflow, Reply, as_json, error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mlflow_backend.verify.report import Report


FIRST_RUN = f"{1:032x}"


def verify(server: FakeMLflow, *, deadline_s: float = 30, **more: object) -> Report:
    """Verify the server with the version that it has."""
    return runner.run(Subject(url=server.url, expected_version="3.17.2", **more), VerifyRequest(deadline_s=deadline_s))  # type: ignore[arg-type]


def on(call: str, reply: Reply, *, method: str | None = None) -> Callable[[Asked], Reply | None]:
    """A fault that answers one call."""
    return lambda asked: reply if call in asked.path and method in {None, asked.method} else None


def test_a_working_server_passes_every_check_that_applies(server: FakeMLflow) -> None:
    """A green verdict has no red and no inconclusive check, and each skip says why."""
    report = verify(server)
    assert report.verdict is Result.PASS, report.text()
    assert {check.name for check in report.checks if check.result is Result.SKIP} == {
        "revision",
        "redis",
        "credentials",
        "doors",
        "forwarding",
        "components",
        "ready",
        "schema",
        "identity",
        "old-run",
        "old-artifact",
    }
    assert report.served_version == "3.17.2"


def test_all_that_was_made_is_removed(server: FakeMLflow) -> None:
    """After a green verification no run, experiment or artifact is left."""
    verify(server)
    assert (server.alive("experiments"), server.alive("runs"), server.artifacts) == ([], [], {})
    assert all(item["name"].startswith(f"{PREFIX}/") for item in server.experiments.values())


@pytest.mark.parametrize("broken", ["runs/log-batch", "runs/search", "metrics/get-history", STORE])
def test_all_that_was_made_is_removed_after_a_failure(server: FakeMLflow, broken: str) -> None:
    """A failed check leaves neither run nor experiment behind."""
    server.fault = on(broken, error(500, "INTERNAL_ERROR"))
    assert verify(server).verdict is Result.FAIL
    assert (server.alive("experiments"), server.alive("runs")) == ([], [])


def test_an_experiment_whose_answer_was_lost_is_removed(server: FakeMLflow) -> None:
    """What was made although its answer never came is found by its name and removed."""

    def lose(asked: Asked) -> Reply | None:
        if asked.path.endswith("experiments/create"):
            server.experiments["9"] = {"experiment_id": "9", **asked.json}
            return Reply(status=502)
        return None

    server.fault = lose
    report = verify(server)
    assert report.result_of("experiment").result is Result.FAIL
    assert report.result_of("cleanup").result is Result.PASS
    assert server.alive("experiments") == []


def test_what_cannot_be_removed_is_red_and_named(server: FakeMLflow) -> None:
    """A cleanup that fails turns the verdict red and names what is left."""
    server.fault = on("experiments/delete", error(500, "INTERNAL_ERROR"))
    report = verify(server)
    cleanup = report.result_of("cleanup")
    assert (report.verdict, cleanup.result) == (Result.FAIL, Result.FAIL)
    assert "left behind: experiment" in cleanup.sentence
    assert PREFIX in cleanup.sentence


def test_what_needs_a_failed_check_is_skipped_and_says_so(server: FakeMLflow) -> None:
    """A failure is reported once: its dependents are visible skips that name it."""
    server.fault = on("runs/create", error(500, "INTERNAL_ERROR"))
    report = verify(server)
    assert report.result_of("run").result is Result.FAIL
    assert report.result_of("log-metric").sentence == "needs run"
    assert report.result_of("run-get").result is Result.SKIP
    assert [check.name for check in report.checks if check.result is Result.FAIL] == ["run"]


def test_nothing_listens_is_a_failure(server: FakeMLflow) -> None:
    """A server that cannot be reached is a fail, never inconclusive."""
    del server
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        report = runner.run(Subject(url=f"http://127.0.0.1:{held.getsockname()[1]}"), VerifyRequest(deadline_s=5))
    assert report.verdict is Result.FAIL
    assert report.result_of("health").code == "not-listening"


def test_a_hung_server_ends_with_the_deadline(server: FakeMLflow) -> None:
    """A request that is never answered ends as a failure that names the database, inside the deadline."""
    never = threading.Event()
    server.fault = on("experiments/search", Reply(hold=never), method="POST")
    report = verify(server, deadline_s=3)
    never.set()
    assert report.verdict is Result.FAIL
    assert report.result_of("database").code == "database-hang"
    assert report.checks_ms + report.cleanup_ms <= report.deadline_s * 1000 + 1000


def test_an_answer_that_drips_ends_with_its_time(server: FakeMLflow) -> None:
    """A body that never ends counts as an answer that does not come, although each byte comes in time."""
    server.fault = on("registered-models", Reply(body=b"{" * 10, length=1 << 20))
    report = verify(server, deadline_s=6)
    assert report.result_of("registered-models").code == "truncated"


def test_a_check_that_overruns_names_the_deadline(server: FakeMLflow) -> None:
    """A check that is stuck outside any request cannot hold the verification up."""
    never = threading.Event()
    live = Live(running=lambda: str(never.wait()))
    report = verify(server, deadline_s=1, expected_revision="1", live=live)
    never.set()
    assert report.result_of("revision").code == "deadline"
    assert "deadline of 1 s" in report.result_of("revision").sentence


@pytest.mark.parametrize(
    ("running", "result", "code"),
    [("7", Result.PASS, ""), ("6", Result.FAIL, "wrong-revision"), ("", Result.FAIL, "wrong-revision")],
)
def test_the_running_revision_is_compared(server: FakeMLflow, running: str, result: Result, code: str) -> None:
    """Only the intended revision is green, whatever the server answers."""
    report = verify(server, expected_revision="7", live=Live(running=lambda: running))
    assert (report.result_of("revision").result, report.result_of("revision").code) == (result, code)


def test_a_platform_that_cannot_be_asked_is_inconclusive(server: FakeMLflow) -> None:
    """A reader that fails is an error on the probe's side, and never green."""

    def fails() -> str:
        raise PermissionError(13, "denied", "/state")

    report = verify(server, expected_revision="7", live=Live(running=fails))
    assert report.verdict is Result.INCONCLUSIVE


def test_credentials_that_cannot_be_read_are_inconclusive(server: FakeMLflow, tmp_path: Path) -> None:
    """Without its credentials nothing is asked, and the reference is named."""
    report = verify(server, credentials={"token": f"file:{tmp_path / 'none'}"})
    assert report.verdict is Result.INCONCLUSIVE
    assert str(tmp_path / "none") in report.result_of("credentials").cause
    assert server.asked == []


def test_a_secret_that_a_server_echoes_is_blanked(server: FakeMLflow, monkeypatch: pytest.MonkeyPatch) -> None:
    """No part of a report holds a credential, though a server repeats the header that it was sent."""
    monkeypatch.setenv("PROBE_TOKEN", "s3cret-value")
    server.fault = lambda asked: error(500, "INTERNAL_ERROR", f"header was {asked.headers.get('authorization')}")
    report = verify(server, credentials={"token": "env:PROBE_TOKEN"})
    assert server.asked[0].headers["authorization"] == "Bearer s3cret-value"
    assert "s3cret-value" not in report.json()
    assert "***" in report.json()


def test_only_runs_the_named_check_and_what_it_needs(server: FakeMLflow) -> None:
    """`only` brings what a check needs, and nothing else."""
    report = runner.run(Subject(url=server.url), VerifyRequest(only=("experiment",)))
    assert [check.name for check in report.checks] == ["health", "database", "experiment", "cleanup", "sweep"]


def test_skip_is_shown_with_what_needs_it(server: FakeMLflow) -> None:
    """A check left out is shown, and so are those that need it."""
    report = runner.run(Subject(url=server.url), VerifyRequest(skip=("ui", "run-update")))
    assert "--skip" in report.result_of("ui").sentence
    assert report.result_of("run-get").sentence == "needs run-update"


def test_an_unknown_check_or_profile_is_refused(server: FakeMLflow) -> None:
    """A misspelt name is an error that lists the known ones, not a verification of nothing."""
    for wrong in ({"only": ("helth",)}, {"skip": ("helth",)}, {"profile": "cor"}):
        with pytest.raises(checks.UsageError, match="Known are: "):
            runner.run(Subject(url=server.url), VerifyRequest(**wrong))  # type: ignore[arg-type]
    assert server.asked == []


def test_where_nothing_was_proved_the_verdict_is_not_green(server: FakeMLflow) -> None:
    """A verification whose every check is skipped proves nothing."""
    report = runner.run(Subject(url=server.url), VerifyRequest(only=("revision",)))
    assert report.verdict is Result.INCONCLUSIVE


def test_the_beginning_is_reported_before_the_first_request(server: FakeMLflow) -> None:
    """Whoever reads the report meanwhile sees that a verification runs, not an older green."""
    stages = []
    runner.run(
        Subject(url=server.url),
        VerifyRequest(only=("health",)),
        begun=lambda begun: stages.append((begun.stage, server.asked[:])),
    )
    assert stages == [("initializing", [])]


CALLS = {
    "health": ("GET", "/health"),
    "version": ("GET", "/version"),
    "host": ("GET", f"{REST}experiments/search"),
    "origin": ("POST", f"{REST}experiments/search"),
    "database": ("POST", f"{REST}experiments/search"),
    "experiment": ("POST", f"{REST}experiments/create"),
    "run": ("POST", f"{REST}runs/create"),
    "log-metric": ("POST", f"{REST}runs/log-metric"),
    "log-parameter": ("POST", f"{REST}runs/log-parameter"),
    "log-batch": ("POST", f"{REST}runs/log-batch"),
    "log-batch-large": ("POST", f"{REST}runs/log-batch"),
    "log-inputs": ("POST", f"{REST}runs/log-inputs"),
    "default-experiment": ("GET", f"{REST}experiments/get"),
    "run-update": ("POST", f"{REST}runs/update"),
    "run-get": ("GET", f"{REST}runs/get"),
    "run-search": ("POST", f"{REST}runs/search"),
    "metric-history": ("GET", f"{REST}metrics/get-history"),
    "registered-models": ("GET", f"{REST}registered-models/search"),
    "model": ("POST", f"{REST}registered-models/create"),
    "model-update": ("PATCH", f"{REST}registered-models/update"),
    "model-alias": ("GET", f"{REST}registered-models/alias"),
    "artifact": ("PUT", f"{STORE}/1/{FIRST_RUN}/artifacts/probe/usual.bin"),
    "ui": ("GET", "/"),
    "cleanup": ("POST", f"{REST}runs/delete"),
}
"""The call by whose failure each check is distinguished from all others."""


@pytest.mark.parametrize("check", CALLS)
@pytest.mark.parametrize("answer", [error(500, "INTERNAL_ERROR"), Reply(body=b"<html>hello</html>"), Reply(body=b"{]")])
def test_every_check_turns_red_by_itself(server: FakeMLflow, check: str, answer: Reply) -> None:
    """Where one call alone fails, or is answered 200 with rubbish, its own check alone is red, with a cause."""

    def fault(asked: Asked) -> Reply | None:
        is_large, is_browser = len(asked.body) > 1 << 16, "origin" in asked.headers
        named = (asked.method, asked.path) == CALLS[check] and is_browser == (check == "origin")
        return answer if named and ("log-batch" not in check or is_large == ("large" in check)) else None

    server.fault = fault
    report = verify(server)
    red = [item for item in report.checks if item.result is Result.FAIL]
    assert [item.name for item in red if item.code != "stale-or-lost"] == [check], report.text()
    assert red[0].cause
    assert red[0].next_step


def test_a_front_that_serves_its_own_page_for_scripts_is_reported(server: FakeMLflow) -> None:
    """A bundle that is a web page is red although it is a 200."""
    server.fault = on("/static-files", Reply(body=b"<html></html>", headers={"Content-Type": "text/html"}))
    assert verify(server).result_of("ui").code == "no-bundle"


def test_a_server_whose_files_are_gone_is_reported(server: FakeMLflow) -> None:
    """Its cache was deleted under it: MLflow answers 200 with this sentence, of 2.9 as of 3.17, and has no page."""
    gone = Reply(body=b"Unable to display MLflow UI - landing page (index.html) not found.")
    server.fault = lambda asked: gone if asked.path == "/" else None
    assert verify(server).result_of("ui").code == "no-ui-files"


def test_an_artifact_changed_on_its_way_is_reported(server: FakeMLflow) -> None:
    """Other bytes than went up are red, whatever their number."""
    server.fault = on(f"{STORE}/", Reply(body=b"x" * 1024), method="GET")
    assert verify(server).result_of("artifact").code == "artifact-changed"


def test_artifacts_outside_the_server_are_red_where_it_must_serve_them(server: FakeMLflow) -> None:
    """A backend of ours serves artifacts itself; for any other server it is a visible skip."""
    info = {"run_id": FIRST_RUN, "artifact_uri": f"s3://bucket/1/{FIRST_RUN}/artifacts", "experiment_id": "1"}

    def fault(asked: Asked) -> Reply | None:
        if not asked.path.endswith("runs/create"):
            return None
        server.runs[FIRST_RUN] = {"info": {**info, "status": "RUNNING"}, "params": {}, "metrics": []}
        return as_json({"run": {"info": info}})

    server.fault = fault
    assert verify(server).result_of("artifact").code == "not-proxied"
    assert verify(server, proxied_artifacts=False).result_of("artifact").result is Result.SKIP


def test_stale_reads_are_red(server: FakeMLflow) -> None:
    """An answer from before the write is reported as such."""
    server.fault = on(f"{REST}metrics/get-history", as_json({"metrics": []}))
    assert verify(server).result_of("metric-history").code == "stale-or-lost"


@pytest.mark.parametrize("profile", checks.PROFILES)
def test_the_tables_of_checks_can_be_run(profile: str) -> None:
    """Names are unique, each says what it shows, and what a check waits for stands before it: no run can get stuck."""
    table = checks.PROFILES[profile]
    names = [check.name for check in table]
    assert len(set(names)) == len(names)
    for check in table:
        assert check.description.endswith(".")
        before = names[: names.index(check.name)]
        assert set(check.needs) | set(check.after) <= set(before), check.name
