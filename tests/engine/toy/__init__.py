"""The toy target: one process that answers as MLflow does. A test puts this folder into a copy of the package."""
