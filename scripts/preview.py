"""Runs `mlflow_backend.commands.preview`."""

import sys

from mlflow_backend.commands.preview import main

if __name__ == "__main__":
    sys.exit(main())
