"""Runs `mlflow_backend.commands.deployer_policy`."""

import sys

from mlflow_backend.commands.deployer_policy import main

if __name__ == "__main__":
    sys.exit(main())
