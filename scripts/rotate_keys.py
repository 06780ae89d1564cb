"""Runs `mlflow_backend.commands.rotate_keys`."""

import sys

from mlflow_backend.commands.rotate_keys import main

if __name__ == "__main__":
    sys.exit(main())
