"""A bucket and a database as the backend makes them, for a server that is deployed by other means."""

import pulumi

from mlflow_backend import AwsNetworkSettings, AwsSettings, BackupSettings, Database, Network, Scope, Settings, Storage

aws = AwsSettings(
    account=pulumi.Config().require("account"),
    region="eu-west-1",
    network=AwsNetworkSettings(internal=True, egress="publicIp"),
)
scope = Scope.of("stores", Settings(target="ecs", backup=BackupSettings(protect=False), aws=aws))
opts = pulumi.ResourceOptions(provider=scope.provider("aws"))
network = Network("network", scope, opts=opts)
storage = Storage("artifacts", scope, opts=opts)
database = Database(
    "tracking",
    scope,
    network.placement("database", storage.key_arn),
    opts=opts,
)
pulumi.export("bucket", storage.store.apply(lambda store: store.bucket))
pulumi.export("databaseHost", database.host)
