"""Print the build arguments of the image of one MLflow version, one `NAME=value` a line, from the committed tables."""

from __future__ import annotations

import json
import sys
from pathlib import Path

SERVER = Path(__file__).resolve().parents[1]


def arguments(version: str) -> dict[str, str]:
    """Return the arguments of the Dockerfile that depend on the MLflow version.

    Raises ValueError for a version without a lock, or without an entry in schema_heads.json.
    """
    if not (SERVER / "requirements" / f"{version}.txt").exists():
        raise ValueError(f"MLflow {version} has no lock: python scripts/lock_server.py {version}")
    table = json.loads((SERVER / "src" / "mlflow_backend_server" / "schema_heads.json").read_text())
    heads = table["versions"].get(version)
    if heads is None:
        raise ValueError(f"MLflow {version} is not in schema_heads.json: add it to server/tools/schema_heads.py")
    return {"MLFLOW_VERSION": version, "TRACKING_HEAD": heads["tracking"], "AUTH_HEAD": heads["auth"]}


def main() -> int:
    """Print them; 2 with a sentence for a version that cannot be built."""
    try:
        found = arguments(*sys.argv[1:])
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(f"{name}={value}" for name, value in found.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
