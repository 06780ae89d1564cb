"""Write the JSON Schema of `Pulumi.*.yaml` for editors, or with --check compare the one in the tree."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from mlflow_backend.contract import ExitCode
from mlflow_backend.settings import json_schema

PATH = Path(__file__).resolve().parents[1] / "schema" / "settings.schema.json"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns an exit code of `contract.ExitCode`."""
    parser = argparse.ArgumentParser(prog="scripts/schema.py", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 6 when the file is not current")
    options = parser.parse_args(arguments)
    text = f"{json.dumps(json_schema(), indent=2)}\n"
    current = PATH.exists() and PATH.read_text(encoding="utf-8") == text
    if options.check:
        print(f"{PATH.name} is {'current' if current else 'not current: run `make schema`'}")
        return ExitCode.DONE if current else ExitCode.CHANGES
    if not current:
        PATH.parent.mkdir(exist_ok=True)
        PATH.write_text(text, encoding="utf-8")
    print(f"{PATH.relative_to(PATH.parents[1])} {'is current' if current else 'written'}")
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main())
