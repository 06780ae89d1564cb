"""`python -m mlflow_backend_server.keys NAME SCOPE`: make an API key. It is shown once and stored nowhere."""

from __future__ import annotations

import argparse
import json
import sys

from mlflow_backend_server.access.keys import Scope, mint


def main() -> int:
    """Print a new key and its entry for the secret as one JSON document."""
    parser = argparse.ArgumentParser(prog="python -m mlflow_backend_server.keys", description="Make an API key.")
    parser.add_argument("name", help="who or what uses it; it appears in logs")
    parser.add_argument("scope", choices=[str(scope) for scope in Scope], help="write includes read")
    options = parser.parse_args()
    try:
        key, entry = mint(options.name, Scope(options.scope))
    except ValueError as error:
        parser.error(str(error))
    json.dump({"key": key, "entry": entry}, sys.stdout, indent=2)
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
