"""Runs `mlflow_backend.commands.status`."""

import sys

from mlflow_backend.commands.status import main

if __name__ == "__main__":
    sys.exit(main())
