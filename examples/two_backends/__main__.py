"""Two MLflow backends in one stack: their physical names hold the name of the component."""

import pulumi

from mlflow_backend import (
    AccessSettings,
    AwsSettings,
    BackupSettings,
    EcsBackend,
    EcsBackendArgs,
    ServerSettings,
    Settings,
)

config = pulumi.Config()
settings = Settings(
    target="ecs",
    aws=AwsSettings(account=config.require("account"), region="eu-west-1"),
    server=ServerSettings(mlflow_version="3.17.2", image=config.require("image")),
    access=AccessSettings(mode="basic"),
    # A program to try: without this, `pulumi destroy` refuses to delete what holds data.
    backup=BackupSettings(protect=False),
)
for team in ("red", "blue"):
    backend = EcsBackend(team, EcsBackendArgs(settings=settings))
    pulumi.export(f"{team}Url", backend.tracking_url)
    pulumi.export(f"{team}Locator", backend.locator)
