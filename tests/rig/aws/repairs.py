"""One probe for each repair of moto: true on the repaired rig, false on bare moto."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from moto.sts.models import sts_backends

from tests.rig.aws import zones
from tests.rig.aws.scene import _document, allow
from tests.rig.aws.server import ACCOUNT, REGION, Caller, MotoServer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


Aws = MotoServer

_BUCKET: Final = "repairs"


def as_role(
    aws: Aws, statements: Sequence[Mapping[str, Any]], *, boundary: Sequence[Mapping[str, Any]] = (), session: str = ""
) -> Caller:
    """Return a caller who has these grants."""
    iam, number = aws.client("iam"), len(aws.client("iam").list_roles()["Roles"])
    own = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    trust = _document([{"Effect": "Allow", "Principal": own, "Action": "sts:AssumeRole"}])
    more = {}
    if boundary:
        made = iam.create_policy(PolicyName=f"boundary-{number}", PolicyDocument=_document(boundary))
        more = {"PermissionsBoundary": made["Policy"]["Arn"]}
    role = iam.create_role(RoleName=f"role-{number}", AssumeRolePolicyDocument=trust, **more)["Role"]
    iam.put_role_policy(RoleName=f"role-{number}", PolicyName="own", PolicyDocument=_document(statements))
    # Not by the API: bare moto reads trust policies in a way of its own.
    taken = sts_backends[ACCOUNT]["aws"].assume_role(REGION, "test", role["Arn"], session, 3600, "")
    return Caller(key=taken.access_key_id, secret=taken.secret_access_key, token=taken.session_token)


def may(call: Callable[..., Any], **arguments: Any) -> bool:
    """Return whether a call is allowed, whatever else is wrong with it."""
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"] not in {"AccessDenied", "AccessDeniedException", "403"}
    return True


def bucket(aws: Aws) -> Any:
    """Return an S3 client, and make sure of the bucket."""
    s3 = aws.client("s3")
    if _BUCKET not in {each["Name"] for each in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=_BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_object(Bucket=_BUCKET, Key="a/1", Body=b"1")
    return s3


def secret(aws: Aws) -> str:
    """Return a secret's ARN."""
    client = aws.client("secretsmanager")
    held = client.list_secrets()["SecretList"]
    return str(held[0]["ARN"] if held else client.create_secret(Name="repairs", SecretString="x")["ARN"])


def grant_by_arn(aws: Aws) -> bool:
    """A grant that names a secret's ARN lets its holder read it, and another's ARN does not."""
    arn = secret(aws)
    named = aws.client("secretsmanager", as_role(aws, [allow("secretsmanager:GetSecretValue", arn)]))
    other = aws.client("secretsmanager", as_role(aws, [allow("secretsmanager:GetSecretValue", f"{arn}-other")]))
    return may(named.get_secret_value, SecretId=arn) and not may(other.get_secret_value, SecretId=arn)


def prefix_condition(aws: Aws) -> bool:
    """A grant to list one prefix lists that one only."""
    bucket(aws)
    condition = {"Condition": {"StringLike": {"s3:prefix": ["a/*"]}}}
    s3 = aws.client("s3", as_role(aws, [allow("s3:ListBucket", f"arn:aws:s3:::{_BUCKET}") | condition]))
    return may(s3.list_objects_v2, Bucket=_BUCKET, Prefix="a/") and not may(
        s3.list_objects_v2, Bucket=_BUCKET, Prefix="b/"
    )


def not_resource(aws: Aws) -> bool:
    """NotResource allows everything but what it names."""
    bucket(aws)
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "NotResource": f"arn:aws:s3:::{_BUCKET}/*"}
    s3 = aws.client("s3", as_role(aws, [statement]))
    return not may(s3.get_object, Bucket=_BUCKET, Key="a/1")


def boundary(aws: Aws) -> bool:
    """A permissions boundary takes away what it does not name."""
    bucket(aws)
    s3 = aws.client("s3", as_role(aws, [allow("s3:*", "*")], boundary=[allow("s3:ListBucket", "*")]))
    return not may(s3.get_object, Bucket=_BUCKET, Key="a/1")


def session_policy(aws: Aws) -> bool:
    """A session's policy takes away what it does not name."""
    bucket(aws)
    s3 = aws.client("s3", as_role(aws, [allow("s3:*", "*")], session=_document([allow("s3:ListBucket", "*")])))
    return not may(s3.get_object, Bucket=_BUCKET, Key="a/1")


def question_mark(aws: Aws) -> bool:
    """`?` in a resource stands for one character."""
    bucket(aws)
    s3 = aws.client("s3", as_role(aws, [allow("s3:GetObject", f"arn:aws:s3:::{_BUCKET}/a/?")]))
    return may(s3.get_object, Bucket=_BUCKET, Key="a/1")


def action_case(aws: Aws) -> bool:
    """Actions are the same in any case."""
    bucket(aws)
    s3 = aws.client("s3", as_role(aws, [allow("s3:getobject", f"arn:aws:s3:::{_BUCKET}/*")]))
    return may(s3.get_object, Bucket=_BUCKET, Key="a/1")


def unmet_deny(aws: Aws) -> bool:
    """A Deny whose condition does not hold denies nothing."""
    bucket(aws)
    deny = {
        "Effect": "Deny",
        "Action": "s3:*",
        "Resource": "*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    s3 = aws.client("s3", as_role(aws, [allow("s3:GetObject", "*"), deny]))
    return may(s3.get_object, Bucket=_BUCKET, Key="a/1")


def pass_role(aws: Aws) -> bool:
    """Whoever registers a task needs iam:PassRole for its roles."""
    role = aws.client("iam").create_role(
        RoleName="passed", AssumeRolePolicyDocument=_document([allow("sts:AssumeRole", "*")])
    )
    ecs = aws.client("ecs", as_role(aws, [allow("ecs:*", "*")]))
    container = {"name": "x", "image": "x", "memory": 128}
    return not may(
        ecs.register_task_definition, family="x", containerDefinitions=[container], taskRoleArn=role["Role"]["Arn"]
    )


def refusal_by_name(aws: Aws) -> bool:
    """A refusal has the code that the service's own API gives it."""
    arn = secret(aws)
    client = aws.client("secretsmanager", as_role(aws, [allow("s3:GetObject", "*")]))
    with pytest.raises(ClientError) as refused:
        client.get_secret_value(SecretId=arn)
    return bool(refused.value.response["Error"]["Code"] == "AccessDeniedException")


def signed_read(aws: Aws) -> bool:
    """A read whose subject is in its path has the signature of an empty body."""
    return answered(aws.client("route53").list_hosted_zones) is not None


def refusal_in_xml(aws: Aws) -> bool:
    """A refusal of a service that speaks XML has a code that can be read."""
    role = as_role(aws, [allow("s3:GetObject", "*")])
    found = set()
    for call in (aws.client("iam", role).list_users, aws.client("route53", role).list_hosted_zones):
        with pytest.raises(ClientError) as refused:
            call()
        found.add(refused.value.response["Error"]["Code"])
    return found == {"AccessDenied"}


def tls_only(aws: Aws) -> bool:
    """A bucket's policy that denies plain HTTP lets TLS through."""
    s3 = bucket(aws)
    deny = {
        "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        "Resource": [f"arn:aws:s3:::{_BUCKET}", f"arn:aws:s3:::{_BUCKET}/*"],
    }  # fmt: skip
    s3.put_bucket_policy(Bucket=_BUCKET, Policy=_document([deny]))
    try:
        plain = aws.client("s3", plain=True)
        return may(s3.get_object, Bucket=_BUCKET, Key="a/1") and not may(plain.list_objects_v2, Bucket=_BUCKET)
    finally:
        s3.delete_bucket_policy(Bucket=_BUCKET)


def public_policy(aws: Aws) -> bool:
    """A policy for everybody is refused where the bucket blocks such."""
    s3 = bucket(aws)
    s3.put_public_access_block(Bucket=_BUCKET, PublicAccessBlockConfiguration={"BlockPublicPolicy": True})
    everybody = allow("s3:GetObject", f"arn:aws:s3:::{_BUCKET}/*") | {"Principal": "*"}
    try:
        return not may(s3.put_bucket_policy, Bucket=_BUCKET, Policy=_document([everybody]))
    finally:
        s3.delete_bucket_policy(Bucket=_BUCKET)
        s3.delete_public_access_block(Bucket=_BUCKET)


def family(aws: Aws, name: str) -> Any:
    """Return an ECS client, and register three revisions of a family."""
    ecs = aws.client("ecs")
    for _ in range(3):
        ecs.register_task_definition(family=name, containerDefinitions=[{"name": "x", "image": "x", "memory": 128}])
    return ecs


def newest_first(aws: Aws) -> bool:
    """`sort=DESC` gives the newest revision first."""
    arns = family(aws, "sorted").list_task_definitions(familyPrefix="sorted", sort="DESC")["taskDefinitionArns"]
    return bool(arns[0].endswith(":3"))


def pages(aws: Aws) -> bool:
    """A listing has pages of the size that is asked for."""
    answer = family(aws, "paged").list_task_definitions(familyPrefix="paged", maxResults=2)
    return len(answer["taskDefinitionArns"]) == 2 and "nextToken" in answer


def image_digest(aws: Aws) -> bool:
    """An image's digest is the SHA-256 of its manifest: two images with equal layers are two."""
    ecr, kind = aws.client("ecr"), "application/vnd.oci.image.manifest.v1+json"
    ecr.create_repository(repositoryName="digests")
    found = set()
    for number in range(2):
        layers = [{"digest": f"sha256:{'a' * 64}", "size": 1, "mediaType": kind}]
        manifest = json.dumps(
            {"schemaVersion": 2, "mediaType": kind, "layers": layers, "annotations": {"n": str(number)}}
        )
        pushed = ecr.put_image(repositoryName="digests", imageManifest=manifest, imageTag=str(number))
        found.add(pushed["image"]["imageId"]["imageDigest"])
    return len(found) == 2


def managed_secret(aws: Aws) -> bool:
    """RDS's own secret names the instance's own master user."""
    rds = aws.client("rds")
    made = rds.create_db_instance(
        DBInstanceIdentifier="repairs", Engine="postgres", DBInstanceClass="db.t4g.micro", AllocatedStorage=20,
        MasterUsername="somebody", ManageMasterUserPassword=True, DBName="mlflow",
    )["DBInstance"]  # fmt: skip
    try:
        arn = made["MasterUserSecret"]["SecretArn"]
        held = json.loads(aws.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"])
        return bool(held["username"] == "somebody")
    finally:
        rds.delete_db_instance(DBInstanceIdentifier="repairs", SkipFinalSnapshot=True)


def own_label(aws: Aws) -> bool:
    """A staging label of one's own stays on its version when a newer one is put there."""
    client = aws.client("secretsmanager")
    made = client.create_secret(Name="labelled", SecretString="old")
    client.update_secret_version_stage(SecretId=made["ARN"], VersionStage="OWN", MoveToVersionId=made["VersionId"])
    client.put_secret_value(SecretId=made["ARN"], SecretString="new")
    labels = client.describe_secret(SecretId=made["ARN"])["VersionIdsToStages"]
    return set(labels[made["VersionId"]]) == {"OWN", "AWSPREVIOUS"}


def balancer_address(aws: Aws) -> bool:
    """A balancer's name resolves here."""
    return str(zones.balancer(aws)["DNSName"]).startswith("127.")


def answered(call: Callable[..., Any], **arguments: Any) -> dict[str, Any] | None:
    """Return what a call answers; None if it fails, or if its answer cannot be read."""
    try:
        return dict(call(**arguments))
    except (ClientError, ResponseParserError):
        return None


def cache_settings(aws: Aws) -> bool:
    """ElastiCache has parameter groups, whose values can be read, and which can have tags."""
    cache = aws.client("elasticache")
    group = {"CacheParameterGroupName": "repairs"}
    made = answered(
        cache.create_cache_parameter_group, **group, CacheParameterGroupFamily="valkey8", Description="repairs",
        Tags=[{"Key": "stack", "Value": "dev"}],
    )  # fmt: skip
    if made is None:
        return False
    value = {"ParameterName": "maxmemory-policy", "ParameterValue": "noeviction"}
    cache.modify_cache_parameter_group(**group, ParameterNameValues=[value])
    (read,) = cache.describe_cache_parameters(**group, Source="user")["Parameters"]
    tags = cache.list_tags_for_resource(ResourceName=made["CacheParameterGroup"]["ARN"])["TagList"]
    cache.delete_cache_parameter_group(**group)
    return bool(read["ParameterValue"] == "noeviction") and tags == [{"Key": "stack", "Value": "dev"}]


def cache_of(aws: Aws, nodes: int) -> tuple[list[str], list[str]]:
    """Make a replication group and return its nodes' names, and those that ElastiCache describes."""
    cache, name = aws.client("elasticache"), f"repairs-{nodes}"
    made = cache.create_replication_group(
        ReplicationGroupId=name, ReplicationGroupDescription="repairs", Engine="valkey", NumCacheClusters=nodes,
        CacheNodeType="cache.t4g.micro", Port=6379,
    )["ReplicationGroup"]  # fmt: skip
    held = [each["CacheClusterId"] for each in cache.describe_cache_clusters()["CacheClusters"]]
    cache.delete_replication_group(ReplicationGroupId=name)
    return made["MemberClusters"], held


def cache_nodes(aws: Aws) -> bool:
    """A replication group has as many nodes as were asked for."""
    return len(cache_of(aws, 2)[0]) == 2


def cache_members(aws: Aws) -> bool:
    """A replication group's nodes are described, and are gone with it."""
    members, described = cache_of(aws, 1)
    return members == described and not aws.client("elasticache").describe_cache_clusters()["CacheClusters"]


def rule_description(aws: Aws) -> bool:
    """A security group's rule that names another group keeps its description."""
    ec2 = aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.2.0.0/16")["Vpc"]["VpcId"]
    group = ec2.create_security_group(GroupName="repairs", Description="repairs", VpcId=vpc)["GroupId"]
    pair = {"GroupId": group, "Description": "from its like"}
    permission = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "UserIdGroupPairs": [pair]}
    made = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])["SecurityGroupRules"]
    return bool(made[0].get("Description") == "from its like")


def logs_of_buckets(aws: Aws) -> bool:
    """A bucket that lets S3 deliver logs takes them, whoever else its policy names."""
    s3, name = bucket(aws), "repairs-logs"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    deliver = allow("s3:PutObject", f"arn:aws:s3:::{name}/*") | {"Principal": {"Service": "logging.s3.amazonaws.com"}}
    plain = {
        "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{name}/*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }  # fmt: skip
    s3.put_bucket_policy(Bucket=name, Policy=_document([plain, deliver]))
    status = {"LoggingEnabled": {"TargetBucket": name, "TargetPrefix": ""}}
    return answered(s3.put_bucket_logging, Bucket=_BUCKET, BucketLoggingStatus=status) is not None


def suspended_version(aws: Aws) -> bool:
    """A deletion that names a version takes that one alone, in a bucket whose versioning was suspended too."""
    s3, name = aws.client("s3"), "repairs-suspended"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    old, new = (s3.put_object(Bucket=name, Key="a", Body=text)["VersionId"] for text in (b"old", b"new"))
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Suspended"})
    s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "a", "VersionId": old}]})
    return [each["VersionId"] for each in s3.list_object_versions(Bucket=name).get("Versions", [])] == [new]


def tags_of_targets(aws: Aws) -> bool:
    """A scalable target has the tags that it was registered with."""
    ecs, scaling = aws.client("ecs"), aws.client("application-autoscaling")
    family(aws, "scaled")
    ecs.create_cluster(clusterName="scaled")
    ecs.create_service(cluster="scaled", serviceName="scaled", taskDefinition="scaled:1", desiredCount=0)
    arn = scaling.register_scalable_target(
        ServiceNamespace="ecs", ResourceId="service/scaled/scaled", ScalableDimension="ecs:service:DesiredCount",
        MinCapacity=1, MaxCapacity=2, Tags={"stack": "dev"},
    )["ScalableTargetARN"]  # fmt: skip
    read = answered(scaling.list_tags_for_resource, ResourceARN=arn)
    return read is not None and read["Tags"] == {"stack": "dev"}


def _number(role: Mapping[str, Any]) -> int:
    return int(role["RoleName"].partition("-")[2])


def simulated(aws: Aws) -> bool:
    """IAM says of a role what it may do, and not what it may not."""
    as_role(aws, [allow("s3:GetObject", "arn:aws:s3:::repairs/*")])
    iam = aws.client("iam")
    # moto lists roles by their random ids.
    newest = max((each for each in iam.list_roles()["Roles"] if each["RoleName"].startswith("role-")), key=_number)
    role = newest["Arn"]
    named = {"PolicySourceArn": role, "ResourceArns": ["arn:aws:s3:::repairs/a"]}
    answer = answered(iam.simulate_principal_policy, ActionNames=["s3:GetObject", "s3:PutObject"], **named)
    decisions = [each["EvalDecision"] for each in answer["EvaluationResults"]] if answer else []
    return decisions == ["allowed", "implicitDeny"]


def quota_of_tasks(aws: Aws) -> bool:
    """A quota that nobody has changed has its default alone, and a granted increase is its value."""
    quotas, named = aws.client("service-quotas"), {"ServiceCode": "fargate", "QuotaCode": "L-3032A538"}
    default = answered(quotas.get_aws_default_service_quota, **named)
    if default is None or answered(quotas.get_service_quota, **named) is not None:
        return False
    more = default["Quota"]["Value"] + 1
    quotas.request_service_quota_increase(**named, DesiredValue=more)
    return bool(quotas.get_service_quota(**named)["Quota"]["Value"] == more)


REPAIRS: Final = (
    grant_by_arn, prefix_condition, not_resource, boundary, session_policy, question_mark, action_case, unmet_deny,
    pass_role, refusal_by_name, signed_read, refusal_in_xml, tls_only, public_policy, newest_first, pages,
    image_digest, managed_secret, own_label, balancer_address, cache_settings, cache_nodes, cache_members,
    rule_description, logs_of_buckets, suspended_version, tags_of_targets, quota_of_tasks, simulated, *zones.PROMISES,
)  # fmt: skip

by_repair = pytest.mark.parametrize("repair", REPAIRS, ids=lambda each: each.__name__)
