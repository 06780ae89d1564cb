"""The API calls of each AWS resource that the target ecs makes, read from the source of the provider behind pulumi-aws.

    python -m tests.upstream.provider_calls --source FOLDER --write

FOLDER is an unpacked github.com/hashicorp/terraform-provider-aws, which the Go module proxy serves
(`go mod download -json github.com/hashicorp/terraform-provider-aws@VERSION` prints it). A resource's calls are those of
the functions in its file and of every function of the same package that they call, whatever the arguments: more than
this project's arguments lead to. What the table is compared with: tests/components/ecs/test_ecs_permissions.py.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TABLE: Final = Path(__file__).resolve().parents[1] / "components" / "ecs" / "provider_calls.json"
FILES: Final[Mapping[str, str]] = {
    "aws:appautoscaling/policy:Policy": "appautoscaling/policy.go",
    "aws:appautoscaling/target:Target": "appautoscaling/target.go",
    "aws:cloudwatch/dashboard:Dashboard": "cloudwatch/dashboard.go",
    "aws:cloudwatch/logGroup:LogGroup": "logs/group.go",
    "aws:cloudwatch/logMetricFilter:LogMetricFilter": "logs/metric_filter.go",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "cloudwatch/metric_alarm.go",
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": "ec2/vpc_default_security_group.go",
    "aws:ec2/eip:Eip": "ec2/ec2_eip.go",
    "aws:ec2/internetGateway:InternetGateway": "ec2/vpc_internet_gateway.go",
    "aws:ec2/natGateway:NatGateway": "ec2/vpc_nat_gateway.go",
    "aws:ec2/route:Route": "ec2/vpc_route.go",
    "aws:ec2/routeTable:RouteTable": "ec2/vpc_route_table.go",
    "aws:ec2/routeTableAssociation:RouteTableAssociation": "ec2/vpc_route_table_association.go",
    "aws:ec2/securityGroup:SecurityGroup": "ec2/vpc_security_group.go",
    "aws:ec2/subnet:Subnet": "ec2/vpc_subnet.go",
    "aws:ec2/vpc:Vpc": "ec2/vpc_.go",
    "aws:ec2/vpcEndpoint:VpcEndpoint": "ec2/vpc_endpoint.go",
    "aws:ecs/cluster:Cluster": "ecs/cluster.go",
    "aws:ecs/service:Service": "ecs/service.go",
    "aws:ecs/taskDefinition:TaskDefinition": "ecs/task_definition.go",
    "aws:elasticache/parameterGroup:ParameterGroup": "elasticache/parameter_group.go",
    "aws:elasticache/replicationGroup:ReplicationGroup": "elasticache/replication_group.go",
    "aws:elasticache/subnetGroup:SubnetGroup": "elasticache/subnet_group.go",
    "aws:iam/role:Role": "iam/role.go",
    "aws:iam/rolePolicy:RolePolicy": "iam/role_policy.go",
    "aws:kms/alias:Alias": "kms/alias.go",
    "aws:kms/key:Key": "kms/key.go",
    "aws:lb/listener:Listener": "elbv2/listener.go",
    "aws:lb/loadBalancer:LoadBalancer": "elbv2/load_balancer.go",
    "aws:lb/targetGroup:TargetGroup": "elbv2/target_group.go",
    "aws:rds/instance:Instance": "rds/instance.go",
    "aws:rds/parameterGroup:ParameterGroup": "rds/parameter_group.go",
    "aws:rds/subnetGroup:SubnetGroup": "rds/subnet_group.go",
    "aws:route53/record:Record": "route53/record.go",
    "aws:s3/bucket:Bucket": "s3/bucket.go",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": "s3/bucket_lifecycle_configuration.go",
    "aws:s3/bucketLogging:BucketLogging": "s3/bucket_logging.go",
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": "s3/bucket_ownership_controls.go",
    "aws:s3/bucketPolicy:BucketPolicy": "s3/bucket_policy.go",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": "s3/bucket_public_access_block.go",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration":
        "s3/bucket_server_side_encryption_configuration.go",
    "aws:s3/bucketVersioning:BucketVersioning": "s3/bucket_versioning.go",
    "aws:secretsmanager/secret:Secret": "secretsmanager/secret.go",
    "aws:secretsmanager/secretVersion:SecretVersion": "secretsmanager/secret_version.go",
    "aws:sns/topic:Topic": "sns/topic.go",
    "aws:sns/topicPolicy:TopicPolicy": "sns/topic_policy.go",
    "aws:sns/topicSubscription:TopicSubscription": "sns/topic_subscription.go",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": "ec2/vpc_security_group_egress_rule.go",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": "ec2/vpc_security_group_ingress_rule.go",
    "aws:index/getAvailabilityZones:getAvailabilityZones": "ec2/ec2_availability_zones_data_source.go",
}  # fmt: skip
"""Pulumi's token -> the file of the provider's source, below internal/service."""

_FUNCTION: Final = re.compile(r"^func (?P<method>\([^)]*\) )?(?P<name>\w+)(?:\[[^\]]*\])?\(", re.MULTILINE)
_WORD: Final = re.compile(r"\b([A-Za-z_]\w*)\b")
_CALL: Final = re.compile(r"\b(?:conn|client)\.([A-Z]\w+)\(ctx")
_PAGES: Final = re.compile(r"\b\w+\.New([A-Z]\w+)Paginator\(")
_NO_CALLS: Final = frozenset({"Options"})
# Whatever has tags lists and changes them by these, through the provider's own interceptor.
_TAGGING: Final = frozenset({"listTags", "updateTags", "createTags"})


@cache
def package_functions(package: Path) -> dict[str, str]:
    """Return the functions of a package, tests left out."""
    found: dict[str, str] = {}
    for path in sorted(package.glob("*.go")):
        if not path.name.endswith("_test.go"):
            text = path.read_text(encoding="utf-8")
            # Methods have each other's names (Create, Read): a file's own are its beginning, others' are not followed.
            found |= {name: body for name, body in functions(text).items() if not body.startswith("func (")}
    return found


def calls(package: Path, file: str) -> list[str]:
    """Return the names of the API calls that a file's functions lead to within their package."""
    text = (package / file).read_text(encoding="utf-8")
    own = functions(text)
    bodies = {**package_functions(package), **own}
    waiting = set(own)
    if "@Tags" in text:
        waiting |= _TAGGING & set(bodies)
    seen: set[str] = set()
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        body = bodies[name]
        found |= {*_CALL.findall(body), *_PAGES.findall(body)} - _NO_CALLS
        waiting |= (set(_WORD.findall(body)) & set(bodies)) - seen
    return sorted(each for each in found if not each.endswith(("Client", "ARN", "WithRegion")) and each != "Region")


def functions(text: str) -> dict[str, str]:
    """Return the functions of a Go file, each with its text up to the next one."""
    starts = [(match.start(), match["name"]) for match in _FUNCTION.finditer(text)]
    ends = [start for start, _ in [*starts[1:], (len(text), "")]]
    return {name: text[start:end] for (start, name), end in zip(starts, ends, strict=False)}


def table(source: Path, files: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return each resource's calls, as `service.Operation` with the name of the provider's package."""
    services = source / "internal" / "service"
    found = {}
    for token, file in files:
        package, _, name = file.partition("/")
        found[token] = [f"{package}.{each}" for each in calls(services / package, name)]
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the command; exit code 6 when the table in the tree is another one."""
    parser = argparse.ArgumentParser(prog="tests/upstream/provider_calls.py", description=__doc__)
    parser.add_argument("--source", required=True, type=Path, help="the unpacked module")
    parser.add_argument("--write", action="store_true", help="write the table instead of comparing it")
    options = parser.parse_args(arguments)
    found = {"source": options.source.resolve().name, "calls": table(options.source, sorted(FILES.items()))}
    text = f"{json.dumps(found, indent=1)}\n"
    if options.write:
        TABLE.write_text(text, encoding="utf-8")
        return 0
    same = TABLE.exists() and TABLE.read_text(encoding="utf-8") == text
    sys.stdout.write(f"{TABLE.name} is {'current' if same else 'not current'}\n")
    return 0 if same else 6


if __name__ == "__main__":
    sys.exit(main())
