"""The table of keys that MLflow draws or publishes: complete for every version that can be served."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from mlflow_backend import environments
from mlflow_backend.local import environment
from tests.server.services import PROJECT

sys.path.insert(0, str(PROJECT / "server" / "tools"))

import mlflow_keys

if TYPE_CHECKING:
    from pathlib import Path

VERSIONS = environments.locked_versions()
RECORD: dict[str, list[str]] = json.loads(mlflow_keys.RECORD.read_text())


def test_every_version_that_can_be_served_is_recorded_and_every_finding_evaluated() -> None:
    """A new MLflow version with a key of its own invention is red until somebody has said what becomes of it."""
    assert tuple(RECORD) == VERSIONS
    found = {finding for findings in RECORD.values() for finding in findings}
    assert found <= mlflow_keys.EVALUATED.keys()
    assert mlflow_keys.EVALUATED.keys() <= found
    assert mlflow_keys.page(RECORD) == mlflow_keys.PAGE.read_text()


@pytest.mark.parametrize("version", VERSIONS)
def test_the_record_is_what_the_installed_package_has(version: str) -> None:
    """Read from the environment that servers run in, if it is installed on this machine."""
    located = environment.locate(version)
    if not environments.exists(located):
        pytest.skip(f"MLflow {version} is not installed here")
    (package,) = (located.path / "lib").glob("python3.*/site-packages/mlflow")
    assert mlflow_keys.findings(package) == RECORD[version]


@pytest.mark.parametrize(
    ("path", "source", "finding"),
    [
        ("server/new.py", "KEY = secrets.token_hex(8)", "server/new.py:  draws secrets.token_hex"),
        ("store/a/b.py", "class A:\n  def f(self): return os.urandom(9)", "store/a/b.py: A.f draws os.urandom"),
        ("webhooks/k.py", "def f():\n    x = Fernet.generate_key()", "webhooks/k.py: f draws Fernet.generate_key"),
        ("utils/c.py", "_DEFAULT_SIGNING_KEY = 'public'", "utils/c.py: publishes _DEFAULT_SIGNING_KEY"),
        ("gateway/c.py", "PEPPER_SALT: bytes = b'public'", "gateway/c.py: publishes PEPPER_SALT"),
        ("server/auth/x.ini", "[mlflow]\nadmin_password = p\n", "server/auth/x.ini: publishes admin_password"),
        (
            "environment_variables.py",
            "A = _EnvironmentVariable('MLFLOW_JOB_ENCRYPTION', str, None)",
            "variable MLFLOW_JOB_ENCRYPTION",
        ),
    ],
)
def test_a_key_of_a_new_version_is_found(tmp_path: Path, path: str, source: str, finding: str) -> None:
    """However MLflow comes to a key: drawn, published in code or configuration, or named by a variable."""
    for part in ("server", "store", "utils", "webhooks", "gateway"):
        (tmp_path / part).mkdir()
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source)
    assert [" ".join(found.split()) for found in mlflow_keys.findings(tmp_path)] == [" ".join(finding.split())]
    assert finding not in mlflow_keys.EVALUATED
