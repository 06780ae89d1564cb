"""Runs `mlflow_backend.commands.maintain`."""

import sys

from mlflow_backend.commands.maintain import main

if __name__ == "__main__":
    sys.exit(main())
