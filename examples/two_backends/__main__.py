"""Two MLflow backends in one stack: their physical names hold the name of the component."""

import pulumi

from mlflow_backend import BackupSettings, Connection, EcsBackend, EcsBackendArgs, ServerSettings

config = pulumi.Config()
args = EcsBackendArgs(
    connection=Connection("eu-west-1"),
    account=config.require("account"),
    server=ServerSettings(mlflow_version="3.17.2", image=config.require("image")),
    # A program to try: without this, `pulumi destroy` refuses to delete what holds data.
    backup=BackupSettings(protect=False),
)
for team in ("red", "blue"):
    backend = EcsBackend(team, args)
    pulumi.export(f"{team}Url", backend.tracking_url)
    pulumi.export(f"{team}Locator", backend.locator)
