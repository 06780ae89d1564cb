"""Two MLflow backends in one stack: their physical names hold the name of the component."""

import pulumi

from mlflow_backend import (
    AccessSettings,
    AwsSettings,
    BackupSettings,
    Connection,
    DatabaseSettings,
    EcsBackend,
    EcsBackendArgs,
    ServerSettings,
)  # fmt: skip

config = pulumi.Config()
for team in ("red", "blue"):
    backend = EcsBackend(
        team,
        EcsBackendArgs(
            connection=Connection("eu-west-1"),
            account=config.require("account"),
            server=ServerSettings(image=config.require("image"), replicas=1),
            database=DatabaseSettings.model_validate({"maxConnections": 220}),
            access=AccessSettings(mode="basic"),
            backup=BackupSettings(protect=False),
            aws=AwsSettings.model_validate({"network": {"internal": True, "egress": "publicIp"}}),
        ),
    )
    pulumi.export(f"{team}Url", backend.tracking_url)
    pulumi.export(f"{team}Locator", backend.locator)
