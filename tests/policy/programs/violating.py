"""A violating example of each policy: what is named `<policy>-...` violates that policy, and maybe others."""

from __future__ import annotations

from made import DIGEST, TASK, Made, containers, policy

Made("aws:rds/instance:Instance", "database-private-open", publiclyAccessible=True)

group = Made("aws:ec2/securityGroup:SecurityGroup", "cache", name="cache")
Made("aws:elasticache/replicationGroup:ReplicationGroup", "cache-group", securityGroupIds=[group.id])
Made(
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
    "cache-private-office",
    securityGroupId=group.id,
    cidrIpv4="203.0.114.0/24",
    fromPort=6379,
    toPort=6379,
)

Made(
    "aws:ec2/securityGroupRule:SecurityGroupRule",
    "cache-private-older-rule",
    securityGroupId=group.id,
    type="ingress",
    cidrBlocks=["203.0.114.0/24"],
)

Made("aws:s3/bucket:Bucket", "bucket-private-nothing-closes-it", bucket="b1")
half = Made("aws:s3/bucket:Bucket", "half-closed", bucket="b2")
Made(
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "bucket-private-half",
    bucket=half.id,
    blockPublicAcls=True,
    blockPublicPolicy=False,
    ignorePublicAcls=True,
    restrictPublicBuckets=True,
)
Made(
    "aws:s3/bucketPolicy:BucketPolicy",
    "bucket-private-anybody",
    bucket=half.id,
    policy=policy({"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b2/*"}),
)

Made("aws:rds/instance:Instance", "encrypted-at-rest-database", storageEncrypted=False)
Made("aws:elasticache/replicationGroup:ReplicationGroup", "encrypted-at-rest-cache", atRestEncryptionEnabled=False)
Made("aws:sns/topic:Topic", "encrypted-at-rest-topic", name="alarms")

loose = Made("aws:rds/parameterGroup:ParameterGroup", "loose", parameters=[{"name": "rds.force_ssl", "value": "0"}])
Made("aws:rds/instance:Instance", "encrypted-in-transit-database", parameterGroupName=loose.id)
Made("aws:elasticache/replicationGroup:ReplicationGroup", "encrypted-in-transit-cache", transitEncryptionEnabled=False)
Made("aws:s3/bucketPolicy:BucketPolicy", "encrypted-in-transit-bucket", bucket="b3", policy=policy())

Made("aws:lb/listener:Listener", "listener-tls-plain", protocol="HTTP", port=80, defaultActions=[{"type": "forward"}])

Made(
    "aws:iam/rolePolicy:RolePolicy",
    "iam-without-wildcards-actions",
    policy=policy({"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::b/*"}),
)
Made(
    "aws:iam/policy:Policy",
    "iam-without-wildcards-resources",
    policy=policy({"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}),
)
Made(
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    "iam-without-wildcards-attached",
    policyArn="arn:aws:iam::aws:policy/AdministratorAccess",
)

Made("aws:rds/instance:Instance", "deletion-protected-not", deletionProtection=False, skipFinalSnapshot=True)
Made("aws:rds/instance:Instance", "backups-kept-not", backupRetentionPeriod=0)

Made(TASK, "images-by-digest-tag", containerDefinitions=containers(image="registry.example.com/mlflow:latest"))
Made(
    TASK,
    "image-architecture-nobody-looked",
    containerDefinitions=containers(image=DIGEST),
    runtimePlatform={"cpuArchitecture": "X86_64"},
)
Made(
    TASK,
    "no-plain-secrets-name",
    containerDefinitions=containers(environment=[{"name": "MLFLOW_FLASK_SERVER_SECRET_KEY", "value": "s3cr3t-value"}]),
)

Made(
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
    "ingress-closed-no-balancer",
    securityGroupId=group.id,
    cidrIpv4="0.0.0.0/0",
    fromPort=443,
    toPort=443,
)
Made(
    "aws:ec2/securityGroup:SecurityGroup",
    "ingress-closed-inline",
    ingress=[{"protocol": "-1", "fromPort": 0, "toPort": 0, "cidrBlocks": ["0.0.0.0/0"]}],
)

Made("aws:ecs/cluster:Cluster", "tagged-not", name="cluster", tags={"project": "mlflow-backend"})
Made("aws:cloudwatch/logGroup:LogGroup", "logs-expire-never", name="logs")
Made("aws:kms/key:Key", "stateful-protected-key", description="a key")
