"""Which tests start nothing: the part of the unit level that `make test-unit` runs while somebody writes."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

TESTS = Path(__file__).parent

STARTERS = frozenset(
    {
        *("boto3", "botocore", "cfnlint", "http.server", "moto", "multiprocessing", "parliament", "socket"),
        *("subprocess", "threading"),
        # The database is one that runs, and the supervisor starts programs.
        *("psycopg2", "mlflow_backend.local.supervisor"),
        # Pulumi's own mocks run a whole program; its types alone start nothing.
        *("pulumi.runtime", "pulumi_aws"),
        # Used, not imported: a test that names this Python makes a program of it, which the code under test starts.
        "sys.executable",
    }
)
"""What a test, or a helper that it imports, needs to start a process, a server, an emulated service or a program."""


@functools.cache
def starts_something(path: Path) -> bool:
    """Whether the test file, or a file of tests/ that it imports, could start something."""
    imported = _imports(path)
    if imported & STARTERS:
        return True
    helpers = (
        TESTS.joinpath(*name.split(".")[1:]).with_suffix(".py") for name in imported if name.startswith("tests.")
    )
    return any(starts_something(helper) for helper in helpers if helper.exists())


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            # `from tests.components.ecs import recorded` names a module by its last part.
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.executable":
            found.add("sys.executable")
    return found
