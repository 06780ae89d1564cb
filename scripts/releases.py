"""Runs `mlflow_backend.commands.releases`."""

import sys

from mlflow_backend.commands.releases import main

if __name__ == "__main__":
    sys.exit(main())
