"""IAM's own decisions, by a policy simulator that knows every action, resource and condition key.

It is an npm package (AGPL-3.0) that tests install into the machine's cache from a lock with hashes; it is no part of
what is shipped. Where there is no Node.js the tests that need it are skipped, visibly.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SOURCE = Path(__file__).parent / "simulator"
INSTALL_DEADLINE_S = 180
SIMULATE_DEADLINE_S = 60


@dataclass(frozen=True, kw_only=True)
class Question:
    """May `principal` do `action` on `resource`? `identity` are the policies of its role."""

    principal: str
    action: str
    resource: str
    identity: Sequence[Mapping[str, Any]]
    account: str
    context: Mapping[str, str] = field(default_factory=dict)
    resource_policy: Mapping[str, Any] | None = None
    boundary: Mapping[str, Any] | None = None

    def document(self) -> dict[str, Any]:
        """Return the question as the simulator reads it."""
        return {
            "principal": self.principal,
            "action": self.action,
            "resource": self.resource,
            "identity": list(self.identity),
            "account": self.account,
            "context": dict(self.context),
            "resourcePolicy": self.resource_policy,
            "boundary": self.boundary,
        }


def ask(questions: Sequence[Question]) -> list[bool]:
    """Return whether each is allowed. Skips the test if there is no Node.js."""
    answers = _run("simulate.mjs", [question.document() for question in questions])
    unclear = set(answers) - {"Allowed", "ImplicitlyDenied", "ExplicitlyDenied"}
    assert not unclear, f"the simulator could not decide: {unclear}"
    return [answer == "Allowed" for answer in answers]


@dataclass(frozen=True, kw_only=True)
class Action:
    """One IAM action: the ARN patterns of its resource types (none for '*' alone) and the condition keys it knows."""

    arns: Mapping[str, str]
    keys: frozenset[str]


def reference(actions: Sequence[str]) -> dict[str, Action]:
    """Return what the service authorization reference says of each action that it has. Skips as `ask` does."""
    found = _run("reference.mjs", sorted(actions))
    return {
        name: Action(
            arns={kind: each["arn"] for kind, each in details["types"].items()}, keys=frozenset(details["keys"])
        )
        for name, details in found.items()
    }


def _run(script: str, question: Any) -> Any:
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        pytest.skip("IAM documents are judged by a simulator that needs Node.js with npm, and there is none")
    completed = subprocess.run(
        # Imports are found from the working folder.
        [node, "--input-type=module", "-e", (SOURCE / script).read_text(encoding="utf-8")],
        cwd=_installed(),
        input=json.dumps(question),
        capture_output=True,
        text=True,
        check=True,
        timeout=SIMULATE_DEADLINE_S,
    )
    return json.loads(completed.stdout)


def _installed() -> Path:
    """Return the folder with the simulator, installed on first use under a name that holds the hash of its source."""
    sources = [SOURCE / name for name in ("package.json", "package-lock.json")]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mlflow-backend" / "iam-simulator"
    folder = cache / digest
    if not folder.exists():
        building = cache / f"{digest}.{os.getpid()}"
        building.mkdir(parents=True)
        for path in sources:
            shutil.copy(path, building)
        subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=building,
            check=True,
            capture_output=True,
            timeout=INSTALL_DEADLINE_S,
        )
        try:
            building.rename(folder)
        except OSError:
            # Another test process was faster; its folder is the same.
            shutil.rmtree(building)
    return folder
