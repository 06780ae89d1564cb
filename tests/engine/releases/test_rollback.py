"""Rollbacks within one schema: under a writing client, twice in a row, by an update itself, killed, and two at once."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.local import ports, schema
from mlflow_backend.local.revisions import list_all, program_name
from mlflow_backend.local.supervisor import Supervisor
from mlflow_backend.releases.stores import LEDGER
from mlflow_backend.schema_tables import schema_table
from tests.engine.calls import eventually
from tests.engine.releases.support import client, kill_at, releases, run, run_offered, serving, start, start_client
from tests.engine.stack import LocalStack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.xdist_group("releases-rollback")]

# The version that starts fastest; a changed time-out is another release of it.
SERVER = {"mlflowVersion": "2.9.2"}
TIMEOUTS = (300, 301, 302)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A stack with three verified releases of one schema; the third serves."""
    stack = LocalStack(tmp_path_factory.mktemp("released") / "stack")
    try:
        for seconds in TIMEOUTS:
            stack.write_settings(server={**SERVER, "requestTimeout": seconds})
            stack.must_up("--skip-preview")
        yield stack
    finally:
        stack.close()


def another(stack: LocalStack) -> str:
    """Return a revision that does not serve: a rollback can go there from wherever the test before ended."""
    return "2" if serving(stack) != "2" else "1"


def test_the_list_says_what_serves_and_what_is_safe(released: LocalStack) -> None:
    """Three verified releases of one schema, the newest first and serving, the others SAFE to go back to."""
    listed = json.loads(run(released, "releases", "--json").text)["releases"]
    assert [release["revision"] for release in listed] == ["3", "2", "1"]
    assert [release["serving"] for release in listed] == [True, False, False]
    assert {release["rollback"]["verdict"] for release in listed} == {"SAFE"}
    assert all(release["verified"] for release in listed)


def test_a_dry_run_reads_everything_and_writes_nothing(released: LocalStack) -> None:
    """No file of the stack's own folder changes, and the same server serves."""
    before = fingerprint(released)
    dry = run(released, "rollback", "--dry-run")
    assert (dry.code, "Revision 2" in dry.text) == (0, True), dry.text
    assert fingerprint(released) == before
    assert serving(released) == "3"


def fingerprint(stack: LocalStack) -> dict[str, tuple[int, int]]:
    """Return size and time of every file that a rollback could write."""
    folders = (stack.state.backend_store, stack.state.revisions, stack.state.programs)
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in (*files, stack.state.active)}


def test_two_rollbacks_in_a_row_walk_back(released: LocalStack) -> None:
    """The second one does not return to the revision that the first one left."""
    assert run(released, "rollback", "--yes").code == 0
    assert serving(released) == "2"
    again = run(released, "rollback", "--yes")
    assert again.code == 0, again.text
    assert serving(released) == "1"
    nowhere = run(released, "rollback", "--yes")
    assert (nowhere.code, serving(released)) == (3, "1")


def test_a_client_that_writes_throughout_sees_no_failed_request(released: LocalStack, tmp_path: Path) -> None:
    """The switch within one schema drops nothing: every call is answered, and every metric is there."""
    go_on = tmp_path / "go-on"
    go_on.touch()
    writer, target = start_client(released, "stream", str(go_on)), another(released)
    done = run(released, "rollback", "--to", target, "--yes", "--reason", "under load")
    go_on.unlink()
    told = json.loads(writer.communicate(timeout=120)[0])
    assert done.code == 0, done.text
    assert serving(released) == target
    assert told["failed"] == []
    assert told["answered"] > 50
    assert told["last"] == told["answered"] - 1


def test_a_pin_and_settings_that_disagree_are_refused(released: LocalStack) -> None:
    """The ledger is the truth: a request for another pin is refused at preview, and the command named makes it so."""
    pin = releases(released).ledger.state().pin
    assert pin is not None
    # Not the newest, which is the release of the settings: an update would have nothing to withhold.
    asked = next(revision for revision in ("1", "2") if revision != pin.revision)
    released.write_settings(release={"pin": asked})
    preview = released.pulumi("preview", "--stack", released.name)
    released.write_settings(release={})
    assert not preview.ok
    assert f"asks for revision {asked}, and the ledger pins revision {pin.revision}" in preview.text
    assert run_offered(released, preview.text, "--yes", "--reason", "under load").code == 0
    pin = releases(released).ledger.state().pin
    assert pin is not None
    assert pin.revision == serving(released) == asked


def test_an_update_under_a_pin_does_the_rest_and_ends_red_unless_accepted(released: LocalStack) -> None:
    """Refreshed, the server is unchanged; the update says why it withholds, and acceptPin lets it end green."""
    pinned = serving(released)
    preview = released.pulumi("preview", "--refresh", "--stack", released.name).text
    assert "mlflow-server update" not in preview
    red = released.up("--refresh", "--skip-preview")
    assert not red.ok
    assert f"pinned to {pinned} since" in red.text
    assert "because under load" in red.text
    assert serving(released) == pinned
    released.write_settings(release={"acceptPin": True})
    green = released.up("--refresh", "--skip-preview")
    released.write_settings(release={})
    assert green.ok, green.text
    assert released.output("release")["revision"] == pinned


def test_two_rollbacks_at_once(released: LocalStack) -> None:
    """The second one is refused and touches nothing; the first one ends as if it were alone."""
    target = another(released)
    first = start(released, "rollback", "--to", target, "--yes")
    eventually(lambda: releases(released).rollback.load() is not None, within_s=60, what="the first one began")
    second = run(released, "rollback", "--to", "3", "--yes")
    assert second.code == 3, second.text
    assert "Another command of" in second.text
    assert first.wait(timeout=240) == 0
    assert serving(released) == target


def test_a_deployment_in_progress_is_stopped_by_force(released: LocalStack) -> None:
    """The update ends red in the middle of its switch, what it had started is gone, and the target serves alone."""
    assert run(released, "rollback", "--unpin").code == 0
    target = another(released)
    released.write_settings(server={**SERVER, "requestTimeout": 398})
    update = released.start_up()
    eventually(lambda: releases(released).platform.busy() is not None, within_s=240, what="the update switches")
    forced = run(released, "rollback", "--to", target, "--yes", "--force", "--reason", "it was a mistake")
    assert forced.code == 0, forced.text
    assert "the deployment in progress is stopped" in forced.text
    assert update.wait(timeout=240) != 0
    assert serving(released) == target
    assert [str(number) for number in released.server_numbers()] == [target]


@pytest.mark.parametrize(
    ("step", "sign"),
    [
        *((step, signal.SIGKILL) for step in ("activate", "wait", "verify", "record")),
        ("verify", signal.SIGINT),
    ],
)
def test_a_rollback_killed_at_a_step_is_finished_by_the_next(
    released: LocalStack, step: str, sign: signal.Signals
) -> None:
    """Killed while it does a step, then run again without options: it serves and is pinned, and nothing else runs."""
    # The shortest steps take a few milliseconds: where one was missed, the next rollback is tried.
    for _ in range(5):
        target = another(released)
        if kill_at(released, start(released, "rollback", "--to", target, "--yes", "--reason", step), step, sign):
            break
    finished = run(released, "rollback", "--yes")
    assert finished.code == 0, finished.text
    assert f"finishing the rollback to revision {target}" in finished.text
    found = releases(released)
    pin = found.ledger.state().pin
    assert found.rollback.load() is None
    assert pin is not None
    assert serving(released) == pin.revision == target
    assert len(released.server_numbers()) == 1


def test_a_rollback_killed_after_its_switch_leaves_no_second_server(released: LocalStack) -> None:
    """Killed while the server before still answers its last requests: the next run ends that one too."""
    target = another(released)
    process = start(released, "rollback", "--to", target, "--yes", "--reason", "a switch")
    eventually(lambda: serving(released) == target, within_s=240, what=f"revision {target} gets the traffic")
    process.kill()
    process.wait(timeout=60)
    run(released, "rollback", "--yes")
    assert releases(released).rollback.load() is None
    assert serving(released) == target
    assert released.server_numbers() == [int(target)]


def test_a_release_that_never_gets_healthy_is_not_remembered(released: LocalStack) -> None:
    """The update fails with the reason, the revision before serves on, and the ledger does not know the failed one."""
    assert run(released, "rollback", "--unpin").code == 0
    before = serving(released)
    released.write_settings(server={**SERVER, "extraFlags": {"no-such-flag": True}})
    outcome = released.up("--refresh", "--skip-preview")
    assert not outcome.ok
    assert "no-such-flag" in outcome.text
    assert serving(released) == before
    assert {release["revision"] for release in json.loads(run(released, "releases", "--json").text)["releases"]} == {
        str(record.number) for record in list_all(released.state)
    }


def test_a_failed_verification_rolls_back_by_itself_and_the_fix_deploys(released: LocalStack) -> None:
    """Green, red, rolled back, still red for the same settings, then the fix: green without any command.

    The fault shows at the public URL only: what a candidate's own verification finds is never served.
    """
    released.write_settings(server={**SERVER, "requestTimeout": 399, "extraFlags": {}})
    released.must_up("--refresh", "--skip-preview")
    before = serving(released)
    never = [{"name": "never", "path": "/never", "status": 204}]
    answer_the_candidates_clients_only(released, "/never")
    released.write_settings(
        server={**SERVER, "requestTimeout": 400}, verify={"onFailure": "rollback", "extraChecks": never}
    )
    red = released.up("--refresh", "--skip-preview")
    assert not red.ok
    assert "Rolled back by itself" in red.text
    assert serving(released) == before
    released.write_settings(verify={"onFailure": "rollback"})
    withheld = released.up("--refresh", "--skip-preview")
    assert not withheld.ok
    assert "blocked since" in withheld.text
    assert serving(released) == before
    released.write_settings(server={**SERVER, "requestTimeout": 401})
    released.must_up("--refresh", "--skip-preview")
    assert serving(released) not in {before, None}
    assert releases(released).ledger.state().blocks == ()


def answer_the_candidates_clients_only(stack: LocalStack, path: str) -> None:
    """Let the proxy answer a path by itself (204) on the port that leads to a candidate, and not on the public one."""
    configuration = stack.state.front / "caddy.json"
    document = json.loads(configuration.read_text())
    own = {"match": [{"path": [path]}], "handle": [{"handler": "static_response", "status_code": 204}]}
    document["apps"]["http"]["servers"]["candidate"]["routes"].insert(0, own)
    configuration.write_text(json.dumps(document))
    known = ports.known(stack.state)
    for process in stack.processes("front"):
        process.kill()
        process.wait(timeout=20)
    for port in (known["front"], known["candidate"]):
        eventually(lambda port=port: ports.listens(port), within_s=60, what="the proxy is back")


def test_no_server_is_started_on_a_database_that_is_not_at_its_head(released: LocalStack) -> None:
    """MLflow would migrate an older one by itself, or end on a newer one: neither is ever tried."""
    before = serving(released)
    head = str(schema_table().heads["2.9.2"].tracking)
    for other in (schema_table().revisions["tracking"][0], schema_table().revisions["tracking"][-1]):
        stamp(released, other)
        with pytest.raises(PlatformFailed, match=f"the database is at {other}, and MLflow 2.9.2 needs {head}"):
            releases(released).platform.start_servers("1")
        stamp(released, head)
    assert serving(released) == before
    assert len(released.server_numbers()) == 1


def test_a_server_that_crashes_on_another_schema_is_not_started_again(released: LocalStack) -> None:
    """What supervisord restarts is held to the same rule: somebody restored the database by hand, the server died."""
    before, head = serving(released), str(schema_table().heads["2.9.2"].tracking)
    older = schema_table().revisions["tracking"][0]
    name = program_name(int(str(before)))
    stamp(released, older)
    for process in released.processes(name):
        process.kill()
    told = f"the database is at {older}, and MLflow 2.9.2 needs {head}"
    eventually(lambda: told in Supervisor(released.state).tail(name), within_s=120, what="the refusal in its log")
    assert schema.heads(released.state) == schema.Heads(tracking=older)
    assert not any("gunicorn" in " ".join(process.cmdline()) for process in released.processes(name))
    stamp(released, head)
    releases(released).platform.start_servers(str(before))
    assert serving(released) == before


def stamp(stack: LocalStack, revision: str) -> None:
    """Make the database say that it is at another revision."""
    with schema.reading(stack.state) as cursor:
        cursor.execute("UPDATE alembic_version SET version_num = %s", (revision,))


def test_neither_the_proxy_nor_the_servers_key_reaches_the_ledger(released: LocalStack) -> None:
    """The ledger and the dumps, which hold password hashes, lie in a root that the stack's S3 server does not serve."""
    assert not list(released.state.store.rglob("_backend"))
    assert (released.state.backend_store / LEDGER).is_dir()
    assert released.state.backend_store not in released.state.store.parents
    assert client(released, "outside") == []


@pytest.mark.parametrize("damage", ["corrupt", "missing"])
def test_a_damaged_newest_record_stops_updates_until_it_is_accepted(released: LocalStack, damage: str) -> None:
    """A pin may stand in it: neither an update nor a rollback goes on by guessing."""
    ledger = released.state.backend_store / LEDGER
    newest = max(ledger.glob("*.json"))
    newest.write_text("{") if damage == "corrupt" else newest.unlink()
    preview = released.pulumi("preview", "--stack", released.name)
    assert not preview.ok
    assert f"record {int(newest.stem)}" in preview.text
    assert run(released, "rollback", "--yes").code == 3
    assert run_offered(released, preview.text).code == 0
    assert released.pulumi("preview", "--stack", released.name).ok
