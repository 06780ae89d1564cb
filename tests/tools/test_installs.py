"""Every installation of Python packages in this project: by hash, from wheels, or with a locked build backend."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.tools.projects import ROOT

PRODUCT = ("components", "scripts", "server/Dockerfile", "server/tools", "tools")
COMMAND = re.compile(r"""\bpip(?:"|')?(?:\)|,)?\s*[ ,(*]*\s*(?:"|')?(?:--\S+ \S+ )?(?:install|sync)\b""")
HELD = ("--only-binary", "LOCKED", "--build-constraints", "--no-index")


def installations() -> list[tuple[str, str]]:
    """Each location that installs packages, and the lines around it: a command may be put together over a few."""
    listed = subprocess.run(
        ["git", "ls-files", *PRODUCT], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
    ).stdout.split()
    found = []
    for name in listed:
        if not name.endswith((".py", "Dockerfile")):
            continue
        lines = (ROOT / name).read_text().splitlines()
        found += [
            (f"{name}:{number + 1}", "\n".join(lines[max(0, number - 4) : number + 3]))
            for number, line in enumerate(lines)
            if COMMAND.search(line) and not line.lstrip().startswith("#")
        ]
    return found


@pytest.mark.parametrize(("location", "text"), installations())
def test_nothing_is_installed_that_no_lock_holds(location: str, text: str) -> None:
    """A source distribution runs its author's code while it is built; an unlocked name may be anybody's tomorrow."""
    assert any(held in text for held in HELD), f"{location} installs without a lock:\n{text}"


def test_the_installations_are_found() -> None:
    """The search finds those that are known: the environments, uv, the server's package, and the image's two."""
    locations = {location.rsplit(":", 1)[0] for location, _ in installations()}
    assert {
        "components/mlflow_backend/environments.py",
        "components/mlflow_backend/local/package.py",
        "server/Dockerfile",
        "tools/bootstrap/python_env.py",
    } <= locations
