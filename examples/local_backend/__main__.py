"""An MLflow backend on this machine, in a program of your own; `pulumi up` is green if MLflow works."""

from pathlib import Path

import pulumi

from mlflow_backend import LocalBackend, LocalBackendArgs, ServerSettings, Settings

settings = Settings(target="local", server=ServerSettings(mlflow_version="3.17.2"))
# Data, credentials and logs; its name is that of the stack, by which commands find the backend.
folder = Path(".backend", pulumi.get_stack()).resolve()
backend = LocalBackend("mlflow", LocalBackendArgs(folder=folder, settings=settings))
pulumi.export("trackingUrl", backend.tracking_url)
pulumi.export("locator", backend.locator)
