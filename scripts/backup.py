"""Runs `mlflow_backend.commands.backup`."""

import sys

from mlflow_backend.commands.backup import main

if __name__ == "__main__":
    sys.exit(main())
