"""Runs `mlflow_backend.commands.upgrade`."""

import sys

from mlflow_backend.commands.upgrade import main

if __name__ == "__main__":
    sys.exit(main())
