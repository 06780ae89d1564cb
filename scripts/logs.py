"""Runs `mlflow_backend.commands.logs`."""

import sys

from mlflow_backend.commands.logs import main

if __name__ == "__main__":
    sys.exit(main())
