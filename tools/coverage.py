"""Measures the branch coverage of the pure modules, processes that tests start included: `make coverage`.

PURE is the one list of the modules that decide and do not act. A test holds that they import nothing that acts; here
each of them has to reach the limit by the unit tests alone. Ends with 1 when one does not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parents[1]
LIMIT_PERCENT = 95.0
TESTS_DEADLINE_S = 1800
REPORT_DEADLINE_S = 300

PURE = (
    "components/mlflow_backend/contract.py",
    "components/mlflow_backend/audit.py",
    "components/mlflow_backend/offered.py",
    "components/mlflow_backend/identity.py",
    "components/mlflow_backend/naming.py",
    "components/mlflow_backend/schema.py",
    "components/mlflow_backend/tokens.py",
    "components/mlflow_backend/ecs/deployments.py",
    "components/mlflow_backend/ecs/locator.py",
    "components/mlflow_backend/ecs/permissions/*.py",
    "components/mlflow_backend/ecs/reasons.py",
    "components/mlflow_backend/ecs/refusals.py",
    "components/mlflow_backend/ecs/render/*.py",
    "components/mlflow_backend/local/causes.py",
    "components/mlflow_backend/local/render.py",
    "components/mlflow_backend/local/desired.py",
    "components/mlflow_backend/migrate/forecast.py",
    "components/mlflow_backend/preflight/findings.py",
    "components/mlflow_backend/preflight/manifests.py",
    "components/mlflow_backend/preflight/reference.py",
    "components/mlflow_backend/releases/holds.py",
    "components/mlflow_backend/releases/plan.py",
    "components/mlflow_backend/releases/records.py",
    "components/mlflow_backend/releases/text.py",
    "components/mlflow_backend/releases/verification.py",
    "components/mlflow_backend/releases/status.py",
    "components/mlflow_backend/report/*.py",
    "components/mlflow_backend/server/*.py",
    "components/mlflow_backend/settings/*.py",
    "components/mlflow_backend/vulnerabilities/table.py",
    "components/mlflow_backend/verify/answers.py",
    "components/mlflow_backend/verify/causes.py",
    "components/mlflow_backend/verify/latency.py",
    "components/mlflow_backend/verify/model.py",
    "components/mlflow_backend/verify/observed.py",
    "components/mlflow_backend/verify/rules/*.py",
    "components/mlflow_backend/policy/catalogue.py",
    "components/mlflow_backend/policy/containers.py",
    "components/mlflow_backend/policy/iam.py",
    "components/mlflow_backend/policy/model.py",
    "components/mlflow_backend/policy/network.py",
    "components/mlflow_backend/policy/rendered.py",
    "components/mlflow_backend/policy/stores.py",
    "components/mlflow_backend/policy/workloads.py",
    "scripts/ci/affected.py",
    "server/src/mlflow_backend_server/access/clients.py",
    "server/src/mlflow_backend_server/access/credentials.py",
    "server/src/mlflow_backend_server/access/locations.py",
    "server/src/mlflow_backend_server/access/origins.py",
    "server/src/mlflow_backend_server/access/routes.py",
    "server/src/mlflow_backend_server/access/scopes.py",
    "server/src/mlflow_backend_server/db/rows.py",
    "server/src/mlflow_backend_server/db/schema.py",
    "server/src/mlflow_backend_server/health/states.py",
    "server/src/mlflow_backend_server/http/audit.py",
    "server/src/mlflow_backend_server/http/exchange.py",
    "server/src/mlflow_backend_server/http/pieces.py",
)
"""Globs from the root of the repository."""

_SERVER_TESTS = ("access", "bodies", "db_rows", "db_schema", "direct", "front", "health", "route_tables")
TESTS = (
    *("tests/components", "tests/policy", "tests/scripts"),
    # The server's other tests run in the environments of its MLflow versions, which are not measured.
    *(f"tests/server/test_{subject}.py" for subject in _SERVER_TESTS),
)
SELECTED = "not engine and not rig and not slow"


def pure_modules(root: Path = ROOT) -> list[Path]:
    """Return the pure modules, relative to `root`. Raises ValueError for a glob that names none."""
    found: list[Path] = []
    for pattern in PURE:
        paths = sorted(path.relative_to(root) for path in root.glob(pattern))
        if not paths:
            message = f"tools/coverage.py: {pattern} names no module"
            raise ValueError(message)
        found += paths
    return found


def below(measured: Mapping[str, Any], modules: Sequence[Path], limit: float) -> Iterator[str]:
    """Return a line for each module that is below the limit or was not measured."""
    for module in modules:
        entry = measured.get(str(module))
        if entry is None:
            yield f"{module}: not measured"
        elif entry["summary"]["percent_covered"] < limit:
            lines = ", ".join(map(str, entry["missing_lines"])) or "none"
            branches = ", ".join(f"{start}->{end}" for start, end in entry["missing_branches"]) or "none"
            share = entry["summary"]["percent_covered"]
            yield f"{module}: {share:.1f} %; lines never run: {lines}; branches never taken: {branches}"


def main() -> int:
    """Run the tests, and say what they leave out."""
    with tempfile.TemporaryDirectory(prefix="mlflow-backend-coverage-") as folder:
        environment = {**os.environ, "COVERAGE_FILE": str(Path(folder, "data"))}

        def coverage(*arguments: str, deadline_s: float) -> int:
            command = (sys.executable, "-m", "coverage", *arguments)
            return subprocess.run(command, cwd=ROOT, env=environment, timeout=deadline_s, check=False).returncode

        workers = ("--numprocesses", "2", "--dist", "loadfile")
        ran = coverage("run", "-m", "pytest", *workers, "-q", "-m", SELECTED, *TESTS, deadline_s=TESTS_DEADLINE_S)
        if ran != 0:
            return ran
        report = Path(folder, "report.json")
        combined = coverage("combine", "--quiet", folder, deadline_s=REPORT_DEADLINE_S)
        if combined or coverage("json", "--quiet", "-o", str(report), deadline_s=REPORT_DEADLINE_S):
            return 1
        measured = json.loads(report.read_text())["files"]
    modules = pure_modules()
    found = list(below(measured, modules, LIMIT_PERCENT))
    print("\n".join(found) or f"each of {len(modules)} pure modules is covered to {LIMIT_PERCENT:.0f} % and more")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
