"""Runs `mlflow_backend.commands.doctor`."""

import sys

from mlflow_backend.commands.doctor import main

if __name__ == "__main__":
    sys.exit(main())
