"""Runs `mlflow_backend.commands.verify`."""

import sys

from mlflow_backend.commands.verify import main

if __name__ == "__main__":
    sys.exit(main())
