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
    "components/contract.py",
    "components/audit.py",
    "components/commands.py",
    "components/identity.py",
    "components/naming.py",
    "components/schema.py",
    "components/tokens.py",
    "components/ecs/deployments.py",
    "components/ecs/locator.py",
    "components/ecs/permissions/*.py",
    "components/ecs/reasons.py",
    "components/ecs/refusals.py",
    "components/ecs/render/*.py",
    "components/local/causes.py",
    "components/local/render.py",
    "components/local/wishes.py",
    "components/migrate/forecast.py",
    "components/preflight/findings.py",
    "components/preflight/manifests.py",
    "components/preflight/reference.py",
    "components/releases/holds.py",
    "components/releases/plan.py",
    "components/releases/records.py",
    "components/releases/text.py",
    "components/releases/verification.py",
    "components/releases/views.py",
    "components/report/*.py",
    "components/server/*.py",
    "components/settings/*.py",
    "components/vulnerabilities/gate.py",
    "components/vulnerabilities/table.py",
    "components/verify/answers.py",
    "components/verify/causes.py",
    "components/verify/latency.py",
    "components/verify/model.py",
    "components/verify/observed.py",
    "components/verify/page.py",
    "components/verify/rules/*.py",
    "policy/catalogue.py",
    "policy/containers.py",
    "policy/documents.py",
    "policy/keeping.py",
    "policy/model.py",
    "policy/network.py",
    "policy/rendered.py",
    "policy/stores.py",
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

TESTS = (
    *("tests/components", "tests/policy", "tests/scripts"),
    # The server's other tests run in the environments of its MLflow versions, which are not measured.
    *(f"tests/server/test_{subject}.py" for subject in ("access", "db_rows", "db_schema", "direct", "front", "health")),
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
