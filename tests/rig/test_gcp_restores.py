"""Ways back on Cloud Run over a migration: refused without a dump that is whole, and restored with one.

Real MLflow by the real engine on the rig, from 3.10.1 to 3.17.2. The tests stand in the order of a life, and share its
deployment.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from mlflow_backend.contract import ExitCode
from mlflow_backend.releases.stores import DUMPS
from tests.rig.clock import SERVERS
from tests.rig.gcp.life import Life, begin
from tests.rig.gcp.rig import GcpRig

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.full, pytest.mark.slow, pytest.mark.timeout(1200)]

OLD, NEW = "3.10.1", "3.17.2"
_RUNS: Final = 3
_LATER: Final = 2


@pytest.fixture(scope="module")
def life(containers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """The stack, written to and then migrated."""
    folder = tmp_path_factory.mktemp("gcp-restores")
    with GcpRig(folder, SERVERS) as rig:
        made = begin(folder, rig, OLD, NEW)
        made.stack.must_up()
        made.kept["old"] = made.serving()
        made.write(_RUNS)
        made.serve(NEW)
        made.stack.must_up()
        made.kept["new"] = made.serving()
        assert made.kept["new"] != made.kept["old"]
        yield made


def refuses(life: Life, *options: str) -> str:
    """Return what a rollback to the older revision says that is refused and touches nothing."""
    before = life.service["generation"]
    refused = life.stack.script("rollback", "--to", life.kept["old"], *options)
    assert refused.code == ExitCode.REFUSED, refused.text
    assert (life.service["generation"], life.serving()) == (before, life.kept["new"])
    return refused.text


@pytest.mark.parametrize("how", ["--dry-run", "--yes"])
def test_without_restore_the_way_back_is_refused(life: Life, how: str) -> None:
    """The older version cannot serve the newer schema; the option that can is named."""
    said = refuses(life, how)
    assert "RESTORE" in said
    assert "--restore" in said
    assert life.runs() == life.kept["before"]


def test_with_damaged_dumps_there_is_no_way_back(life: Life) -> None:
    """BLOCKED also with `--restore`: a dump is read against its checksum before anything is touched."""
    objects = life.rig.storage.buckets[life.naming.bucket()].objects
    whole = {name: each for name, each in objects.items() if DUMPS in name}
    assert whole
    try:
        for name, each in whole.items():
            flipped = each.content[:-1] + bytes([each.content[-1] ^ 1])
            objects[name] = type(each)(content=flipped, body=each.body)
        assert "BLOCKED" in refuses(life, "--restore", "--yes")
    finally:
        objects.update(whole)
    assert life.runs() == life.kept["before"]


def test_a_restore_goes_back_with_the_losses_counted(life: Life) -> None:
    """What is lost is announced, then gone; the older revision serves, and updates leave it until the pin is lifted."""
    for number in range(_LATER):
        life.call("runs/create", {"experiment_id": life.kept["experiment"], "start_time": number})
    dry = life.stack.script("rollback", "--to", life.kept["old"], "--restore", "--dry-run", "--json")
    assert dry.code == ExitCode.DONE, dry.text
    losses: dict[str, Any] = json.loads(dry.text)["losses"]
    assert losses["runs"] >= _LATER, losses
    assert len(life.runs()) == _RUNS + _LATER
    done = life.stack.script("rollback", "--to", life.kept["old"], "--restore", "--yes", "--reason", "a test")
    assert done.code == ExitCode.DONE, done.text
    life.only(life.kept["old"])
    assert life.runs() == life.kept["before"]
    life.stack.write_settings(release={"acceptPin": True})
    life.stack.must_up("--refresh")
    assert life.serving() == life.kept["old"]
    assert life.stack.script("rollback", "--unpin").code == ExitCode.DONE
    life.stack.must_up()
    assert life.serving() == life.kept["new"]
    assert life.runs() == life.kept["before"]
