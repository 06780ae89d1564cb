"""Runs `mlflow_backend.commands.keys`."""

import sys

from mlflow_backend.commands.keys import main

if __name__ == "__main__":
    sys.exit(main())
