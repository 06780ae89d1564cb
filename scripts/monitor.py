"""Runs `mlflow_backend.commands.monitor`."""

import sys

from mlflow_backend.commands.monitor import main

if __name__ == "__main__":
    sys.exit(main())
