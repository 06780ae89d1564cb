"""CODEOWNERS: what can weaken the checks before an update, or what an image stands on, is the security owners'."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest

from tests.tools.projects import ROOT

SECURITY = ["@mlflow-backend/security"]
GUARDED = (
    *sorted(path.name for path in ROOT.glob("Pulumi.*.yaml")),
    *(
        "Makefile",
        "components/mlflow_backend/policy/pack.py",
        "components/mlflow_backend/commands/policing.py",
        "components/mlflow_backend/commands/preview.py",
        "scripts/up.py",
    ),
    *("scripts/ci/deploy.py", "scripts/ci/image.py", ".github/workflows/image.yml", ".github/CODEOWNERS"),
    *("tools/bootstrap/release.py", "requirements/runtime.txt", "server/Dockerfile", "server/image/build.txt"),
)


def owners(name: str) -> list[str]:
    """Return the owners of a file: the last line that matches it counts, as at GitHub."""
    found: list[str] = []
    for line in (ROOT / ".github" / "CODEOWNERS").read_text().splitlines():
        pattern, *names = line.split() or ["#"]
        if pattern.startswith("#"):
            continue
        anchored = pattern.removeprefix("/")
        if pattern == "*" or fnmatchcase(name, anchored) or (pattern.endswith("/") and name.startswith(anchored)):
            found = names
    return found


@pytest.mark.parametrize("name", GUARDED)
def test_nobody_else_weakens_a_check(name: str) -> None:
    """A lowered level and a moved pin need a review by who answers for security, and by nobody less."""
    assert (ROOT / name).exists()
    assert owners(name) == SECURITY
