"""The command that plans an upgrade: what it asks the server for, page by page, and what it refuses."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import yaml

from mlflow_backend.backup import drill, sealing
from mlflow_backend.backup.destination import FolderDestination
from mlflow_backend.backup.drill import DrillResult, Outcome
from mlflow_backend.commands import upgrade
from mlflow_backend.contract import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_what_is_no_version_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A word is no version, and is said before anything is asked."""
    assert upgrade.main(["--stack", "local", "--to", "newest"], root=tmp_path) is ExitCode.USAGE
    assert "--to" in capsys.readouterr().err


def test_the_newest_drill_that_restored_says_how_long_a_restore_takes(tmp_path: Path) -> None:
    """Drills that ended without a server count for nothing; a stack without backups, or by its address, has none."""
    options = upgrade.parser().parse_args(["--stack", "local", "--to", "3.17.2"])
    assert upgrade._drill_s(options, tmp_path) is None
    key = recovery_key()
    backup = {"destination": str(tmp_path / "backups"), "recoveryKey": key}
    config = {"mlflow-backend:target": "local", "mlflow-backend:backup": backup}
    (tmp_path / "Pulumi.local.yaml").write_text(yaml.safe_dump({"config": config}))
    assert upgrade._drill_s(options, tmp_path) is None
    destination = FolderDestination(tmp_path / "backups" / "local")
    destination.create("backups/one/manifest.json", b"{}")
    for hour, rto_s in ((1, 40.0), (2, 71.0), (3, None)):
        result = DrillResult(
            backup="one",
            started_at=datetime(2026, 11, 29, hour, tzinfo=UTC),
            outcome=Outcome.PROVED if rto_s else Outcome.INCONCLUSIVE,
            keys_proved=bool(rto_s),
            rto_s=rto_s,
            rpo_s=1.0,
        )
        destination.create(f"backups/one/{drill.object_name(result)}", drill.encode(result))
    assert upgrade._drill_s(options, tmp_path) == 71.0
    by_address = upgrade.parser().parse_args(["--locator", str(tmp_path), "--to", "3.17.2"])
    assert upgrade._drill_s(by_address, tmp_path) is None


def recovery_key() -> str:
    """Return a public key."""
    return sealing.public_key(sealing.new_key())
