"""A clean example of each policy, made as the ecs target makes its own: nothing here may be found wrong."""

from __future__ import annotations

import pulumi
from made import DIGEST, TASK, TLS_ONLY, Made, containers, policy
from pulumi.dynamic import CheckResult, CreateResult, Resource, ResourceProvider

TAGS = {"project": "trial", "stack": "dev", "managed-by": "pulumi"}


class Provider(pulumi.ProviderResource):
    """AWS, with the tags that everything gets."""

    def __init__(self) -> None:
        """Register it."""
        super().__init__("aws", "aws", {"defaultTags": pulumi.Output.json_dumps({"tags": TAGS})})


class LookProvider(ResourceProvider):
    """Finds, in `check`, that the image runs on amd64."""

    def check(self, _olds: dict[str, object], news: dict[str, object]) -> CheckResult:
        """Write what was found among the inputs, as preflight does."""
        return CheckResult(
            {
                **news,
                "platform": "linux/amd64",
                "findings": [
                    {"check": "image platform", "outcome": "pass", "property": "server.image", "message": "."}
                ],
            },
            [],
        )

    def create(self, props: dict[str, object]) -> CreateResult:
        """Keep it."""
        return CreateResult("look", props)


class Look(Resource, module="mlflow-backend", name="Preflight"):
    """Preflight's own type, with nothing to ask."""


aws = Provider()
child = pulumi.ResourceOptions(provider=aws)
kept = pulumi.ResourceOptions(provider=aws, protect=True)

Look(LookProvider(), "preflight", {})
key = Made(
    "aws:kms/key:Key",
    "key",
    kept,
    policy=policy(
        {
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
            "Action": "kms:*",
            "Resource": "*",
        }
    ),
)
bucket = Made("aws:s3/bucket:Bucket", "data", kept, bucket="data")
logs = Made("aws:s3/bucket:Bucket", "logs", child, bucket="logs", forceDestroy=True)
for name, each in {"data": bucket, "logs": logs}.items():
    Made(
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        name,
        child,
        bucket=each.id,
        blockPublicAcls=True,
        blockPublicPolicy=True,
        ignorePublicAcls=True,
        restrictPublicBuckets=True,
    )
    Made(
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        name,
        child,
        bucket=each.id,
        rules=[{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": key.arn}}],
    )
    Made("aws:s3/bucketPolicy:BucketPolicy", name, child, bucket=each.id, policy=policy(TLS_ONLY))
Made(
    "aws:s3/bucketVersioning:BucketVersioning",
    "data",
    child,
    bucket=bucket.id,
    versioningConfiguration={"status": "Enabled"},
)
Made("aws:sns/topic:Topic", "topic", child, name="alarms", kmsMasterKeyId=key.arn)

doors = Made("aws:ec2/securityGroup:SecurityGroup", "balancer", child, name="balancer")
server = Made("aws:ec2/securityGroup:SecurityGroup", "server", child, name="server")
inner = Made("aws:ec2/securityGroup:SecurityGroup", "cache", child, name="cache")
balancer = Made(
    "aws:lb/loadBalancer:LoadBalancer",
    "balancer",
    child,
    securityGroups=[doors.id],
    accessLogs={"bucket": logs.id, "enabled": True},
)
for port in (80, 443):
    Made(
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        f"balancer-{port}",
        child,
        securityGroupId=doors.id,
        cidrIpv4="0.0.0.0/0",
        fromPort=port,
        toPort=port,
    )
Made(
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
    "cache-server",
    child,
    securityGroupId=inner.id,
    referencedSecurityGroupId=server.id,
    fromPort=6379,
    toPort=6379,
)
Made("aws:lb/listener:Listener", "https", child, protocol="HTTPS", port=443, defaultActions=[{"type": "forward"}])
Made("aws:lb/listener:Listener", "redirect", child, protocol="HTTP", port=80, defaultActions=[{"type": "redirect"}])

forced = Made(
    "aws:rds/parameterGroup:ParameterGroup", "forced", child, parameters=[{"name": "rds.force_ssl", "value": "1"}]
)
Made(
    "aws:rds/instance:Instance",
    "database",
    kept,
    publiclyAccessible=False,
    storageEncrypted=True,
    deletionProtection=True,
    skipFinalSnapshot=False,
    backupRetentionPeriod=30,
    parameterGroupName=forced.id,
)
Made(
    "aws:elasticache/replicationGroup:ReplicationGroup",
    "cache",
    child,
    atRestEncryptionEnabled=True,
    transitEncryptionEnabled=True,
    securityGroupIds=[inner.id],
)
Made(
    "aws:iam/rolePolicy:RolePolicy",
    "server",
    child,
    policy=policy(
        {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::data/artifacts/*"},
    ),
)
Made(
    TASK,
    "server",
    child,
    runtimePlatform={"cpuArchitecture": "X86_64"},
    containerDefinitions=containers(image=DIGEST, environment=[{"name": "MLFLOW_TRACKING_URI", "value": "http://x"}]),
)
Made("aws:cloudwatch/logGroup:LogGroup", "logs", child, name="logs", retentionInDays=30)
