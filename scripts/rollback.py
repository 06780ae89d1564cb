"""Runs `mlflow_backend.commands.rollback`."""

import sys

from mlflow_backend.commands.rollback import main

if __name__ == "__main__":
    sys.exit(main())
