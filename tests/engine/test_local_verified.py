"""A green update means that the backend works now: when a local stack is verified, and when nothing is sent to it.

The server's own access log is the witness: it has a line for each request that reached the server.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from typing import TYPE_CHECKING

import psycopg2
import pytest
from psycopg2 import sql

from mlflow_backend.commands import preview, releases, status
from mlflow_backend.commands.stacks import Stack
from mlflow_backend.contract import ExitCode
from mlflow_backend.deployed import DeployedBackend
from mlflow_backend.local import credentials, ports
from mlflow_backend.local.locator import LocalLocator
from mlflow_backend.local.naming import DATABASE, ROLE
from mlflow_backend.local.platform import LocalPlatform
from mlflow_backend.local.processes import PROGRAM_MARKER
from mlflow_backend.releases.overview import overview
from mlflow_backend.verify.model import Result
from tests.engine.stack import LocalStack, nothing_changed
from tests.matrices import rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import psutil

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("local-verified")]

UPDATES = ((), ("--skip-preview",), ("--refresh",), ("--refresh", "--skip-preview"))
LOOKS = (
    ("preview",),
    ("preview", "--expect-no-changes"),
    ("preview", "--refresh", "--expect-no-changes"),
    ("refresh", "--yes"),
    ("refresh", "--yes", "--run-program"),
)
LOSSES = tuple((lost, when) for lost in ("report", "report and ledger") for when in ("always", "changed"))


class Witness:
    """The requests that reached the stack's server since it was asked last."""

    def __init__(self, log: Path) -> None:
        """Take the server's log. It is read by a second name, for `destroy` deletes the first."""
        self._log = log.parents[2] / f"witness-{log.name}"
        os.link(log, self._log)
        self._read = 0
        self.requests()

    def requests(self) -> list[str]:
        """Return method and path of each request that is new."""
        lines = self._log.read_text().splitlines()
        new, self._read = lines[self._read :], len(lines)
        entries = [json.loads(line) for line in new if line.startswith("{")]
        return [f"{entry['method']} {entry['path']}" for entry in entries if entry.get("kind") == "access"]

    def verifications(self) -> int:
        """Return how often a verification made its experiment."""
        return self.requests().count("POST /api/2.0/mlflow/experiments/create")


@pytest.fixture(scope="module")
def witness(deployed: LocalStack) -> Witness:
    """The witness of the module's stack."""
    (log,) = deployed.state.logs.glob("server-*.log")
    return Witness(log)


def rename(stack: LocalStack, table: str, to: str) -> None:
    """Give a table of the stack's database another name."""
    port, password = ports.known(stack.state)["database"], credentials.read(stack.state, credentials.DATABASE)
    session = psycopg2.connect(host=ports.LOOPBACK, port=port, user=ROLE, password=password, dbname=DATABASE)
    with contextlib.closing(session), session, session.cursor() as cursor:
        cursor.execute(sql.SQL("alter table {} rename to {}").format(sql.Identifier(table), sql.Identifier(to)))


def is_part_of_serving(process: psutil.Process) -> bool:
    """Return whether a process of the stack is a server's or the proxy's."""
    program = process.environ().get(PROGRAM_MARKER, "")
    return program == "front" or program.startswith("server-")


@pytest.fixture
def broken(deployed: LocalStack) -> Iterator[None]:
    """A database in which metrics cannot be written, whatever /health says."""
    rename(deployed, "metrics", "metrics_away")
    yield
    with contextlib.suppress(psycopg2.Error):
        rename(deployed, "metrics_away", "metrics")


@pytest.mark.parametrize("flags", rows(UPDATES, shown=(UPDATES[0], UPDATES[3])), ids=" ".join)
def test_an_update_without_changes_verifies_once_and_says_so(
    deployed: LocalStack, witness: Witness, flags: tuple[str, ...]
) -> None:
    """However it is typed; no process is another one, and the ledger does not grow."""
    before = {process.pid for process in deployed.processes() if "postgres" not in process.name()}
    ended, known = (
        deployed.output("verification")["finished"],
        len(DeployedBackend(LocalPlatform(deployed.state)).ledger.read().records),
    )
    text = deployed.must_up(*flags).text
    assert witness.verifications() == 1
    assert nothing_changed(text), text
    verification = deployed.output("verification")
    assert verification["finished"] > ended
    assert verification["summary"] in text
    assert "unchanged, verified again" in verification["summary"]
    assert verification["finished"] in verification["summary"]
    assert {process.pid for process in deployed.processes() if "postgres" not in process.name()} == before
    assert len(DeployedBackend(LocalPlatform(deployed.state)).ledger.read().records) == known


def test_how_long_the_release_took_to_be_ready_is_known(deployed: LocalStack) -> None:
    """The report, also one of an update that started nothing, the ledger's record, and what `make status` shows."""
    target = DeployedBackend(LocalPlatform(deployed.state))
    report, recorded = target.reports.latest(), target.ledger.read().releases[-1].release
    assert report is not None
    assert recorded is not None
    assert report.start_s
    assert report.migration_s
    assert (recorded.start_s, recorded.migration_s) == (report.start_s, report.migration_s)
    shown = "\n".join(overview(target)[0])
    assert f"{report.start_s:.1f} s" in shown
    assert f"{report.migration_s:.1f} s" in shown


@pytest.mark.parametrize("command", rows(LOOKS, shown=(LOOKS[2], LOOKS[4])), ids=" ".join)
def test_what_is_no_update_sends_the_backend_nothing(
    deployed: LocalStack, witness: Witness, command: tuple[str, ...]
) -> None:
    """A preview and a refresh of a stack that is up to date say so, and ask the server nothing."""
    outcome = deployed.pulumi(*command, "--stack", deployed.name)
    assert outcome.ok, outcome.text
    assert nothing_changed(outcome.text), outcome.text
    assert witness.requests() == []
    assert DeployedBackend(LocalPlatform(deployed.state)).reports.latest() is not None


def test_what_is_no_update_does_not_wait_for_a_hung_server(deployed: LocalStack) -> None:
    """A server and a proxy that take connections and answer nothing change no preview and no refresh."""
    hung = [process for process in deployed.processes() if is_part_of_serving(process)]
    assert len(hung) > 1
    try:
        for process in hung:
            process.suspend()
        for command in (LOOKS[0], LOOKS[2], LOOKS[4]):
            outcome = deployed.pulumi(*command, "--stack", deployed.name)
            assert outcome.ok, outcome.text
            assert nothing_changed(outcome.text), outcome.text
    finally:
        for process in hung:
            process.resume()


def test_the_preview_report_of_a_verified_stack_has_no_changes(
    deployed: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That an update will verify is no change: a pull request that changes nothing says so."""
    monkeypatch.chdir(deployed.project)
    for name, value in deployed.environment.items():
        monkeypatch.setenv(name, value)
    assert preview.main(["--stack", deployed.name, "--detailed-exit-code"]) is ExitCode.DONE


@pytest.mark.usefixtures("broken")
def test_an_update_over_a_broken_backend_is_red_until_it_is_mended(deployed: LocalStack) -> None:
    """Nothing of the stack changed, and yet: red, red again, also in the store, and green only when it works."""
    for flags in (UPDATES[0], UPDATES[3]):
        outcome = deployed.up(*flags)
        assert not outcome.ok, outcome.text
        assert "FAIL" in outcome.text
        backend = DeployedBackend(LocalPlatform(deployed.state))
        report = backend.reports.latest()
        assert report is not None
        assert report.verdict is Result.FAIL
        assert overview(backend)[1] is ExitCode.VERIFICATION_FAILED
        assert not deployed.pulumi("preview", "--expect-no-changes", "--stack", deployed.name).ok
    rename(deployed, "metrics_away", "metrics")
    deployed.must_up()
    assert overview(DeployedBackend(LocalPlatform(deployed.state)))[1] is ExitCode.DONE


@pytest.mark.parametrize("loss", rows(LOSSES, shown=(LOSSES[1], LOSSES[2])), ids=", ".join)
def test_what_the_store_has_lost_is_made_again_by_the_next_update(
    deployed: LocalStack,
    loss: tuple[str, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`make status` and `make releases` know the serving release again, without anything else that changes."""
    lost, when = loss
    deployed.write_settings(verify={"when": when})
    deployed.must_up()
    shutil.rmtree(deployed.state.reports if lost == "report" else deployed.state.reports.parent)
    monkeypatch.setattr(Stack, "locator", lambda _: LocalLocator.of(deployed.state))
    assert status.main(["--stack", deployed.name]) == ExitCode.INCONCLUSIVE
    assert nothing_changed(deployed.pulumi("preview", "--stack", deployed.name).text)
    deployed.must_up()
    assert status.main(["--stack", deployed.name]) == ExitCode.DONE
    capsys.readouterr()
    assert releases.main(["--stack", deployed.name, "--json"]) == ExitCode.DONE
    listed = json.loads(capsys.readouterr().out)["releases"]
    assert [each["verified"] is not None for each in listed if each["current"]] == [True]


def test_with_when_changed_an_update_without_changes_sends_the_backend_nothing(
    deployed: LocalStack, witness: Witness
) -> None:
    """The choice of those who pay for each verification: it runs again with a change, or after a red report."""
    deployed.write_settings(verify={"when": "changed"})
    deployed.must_up()
    witness.requests()
    text = deployed.must_up("--refresh").text
    assert witness.requests() == []
    assert nothing_changed(text)
    assert "verified again" not in text.partition("Outputs:")[0]
    for command in LOOKS:
        assert nothing_changed(deployed.pulumi(*command, "--stack", deployed.name).text)
    deployed.write_settings(verify={"when": "changed", "deadline": 170})
    deployed.must_up()
    assert witness.verifications() == 1
    deployed.write_settings(verify={})


def test_destroy_sends_the_backend_nothing(deployed: LocalStack, witness: Witness) -> None:
    """A backend that is taken away is not written to; and nobody is shown its verdict afterwards."""
    witness.requests()
    assert deployed.destroy().ok
    assert witness.requests() == []
    assert DeployedBackend(LocalPlatform(deployed.state)).reports.latest() is None
