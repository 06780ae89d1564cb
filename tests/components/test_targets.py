"""The registry is the only place that knows the targets' names."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from mlflow_backend import targets
from mlflow_backend.contract import UsageError

PACKAGE = Path(targets.__file__).parent


def _chosen_by(tree: ast.AST) -> set[str]:
    """Return the texts that a module compares with, or keeps as keys."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, (ast.Compare, ast.Dict, ast.MatchValue))]
    parts = [
        part
        for node in nodes
        for part in (node.keys if isinstance(node, ast.Dict) else ast.walk(node))
        if isinstance(part, ast.Constant)
    ]
    return {part.value for part in parts if isinstance(part.value, str)}


def test_no_module_chooses_by_a_targets_name() -> None:
    """A new target is its folder and its line in the registry."""
    folders = {path.parent.name for path in PACKAGE.glob("*/target.py")}
    found = {
        str(path.relative_to(PACKAGE)): names
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] not in {*folders, "client_package", "server_package"}
        if (names := _chosen_by(ast.parse(path.read_text(encoding="utf-8"))) & set(targets.MODULES))
    }
    assert found == {"targets.py": set(targets.MODULES)}


def test_every_target_has_its_name() -> None:
    """What settings and locators name is what answers."""
    assert {name: targets.get(name).name for name in targets.MODULES} == {name: name for name in targets.MODULES}


def test_an_unknown_target_is_reported_with_the_known_ones() -> None:
    """Whoever mistypes one sees what there is."""
    with pytest.raises(UsageError, match=rf"no target moon\. Known are: {', '.join(targets.MODULES)}"):
        targets.get("moon")


@pytest.mark.parametrize("name", targets.MODULES)
def test_a_target_is_chosen_without_its_platform(name: str) -> None:
    """pulumi_aws takes seconds to import, boto3 a third of one."""
    asked = f"import sys; from mlflow_backend import targets; targets.get({name!r}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=60)
    assert {"pulumi", "pulumi_aws", "pulumi_gcp", "google.auth", "boto3", "botocore", "pydantic"} & set(
        done.stdout.split()
    ) == set()
