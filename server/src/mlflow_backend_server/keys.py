"""`python -m mlflow_backend_server.keys NAME SCOPE [--days N]`: make an API key, shown once and stored nowhere."""

from __future__ import annotations

import argparse
import json
import sys

from mlflow_backend_server.access.keys import Scope, mint


def main() -> int:
    """Print a new key and its entry for the secret as one JSON document."""
    parser = argparse.ArgumentParser(prog="python -m mlflow_backend_server.keys", description="Make an API key.")
    parser.add_argument("name", help="who or what uses it; it appears in logs")
    parser.add_argument("scope", choices=[str(scope) for scope in Scope], help="write includes read, admin both")
    parser.add_argument("--days", type=int, default=0, help="expires after so many days (default: 0, never)")
    options = parser.parse_args()
    if options.days < 0:
        parser.error("--days is not negative")
    try:
        key, entry = mint(options.name, Scope(options.scope), days=options.days)
    except (ValueError, OverflowError) as error:
        parser.error(str(error))
    json.dump({"key": key, "entry": entry}, sys.stdout, indent=2)
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
