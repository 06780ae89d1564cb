"""A service behind a balancer on the rig, made by boto3 alone: for what needs no program of ours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.ecs.render.containers import VERSION_LABEL
from tests.rig import contents
from tests.rig.aws.server import ACCOUNT, REGION
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.rig.aws.rig import AwsRig
    from tests.rig.contents import Contents

CLUSTER, SERVICE, FAMILY, GROUP, BUCKET = "scene", "server", "scene", "/scene", "scene-artifacts"
PORT: Final = 5000
VERSION: Final = "3.17.2"
_SETTLED_S: Final = 120
_HEALTH: Final = "import urllib.request as u;u.urlopen('http://127.0.0.1:5000/health',timeout=4)"


def allow(actions: str | Sequence[str], resources: str | Sequence[str]) -> dict[str, Any]:
    """Return a statement that allows."""
    return {"Effect": "Allow", "Action": actions, "Resource": resources}


class Scene:
    """A cluster with network, balancer, roles, secret and bucket; `serve` makes the service."""

    def __init__(self, rig: AwsRig, *, drain_s: int = 20, grace_s: int = 240) -> None:
        """Make all but the service."""
        self.rig, self._grace_s = rig, grace_s
        self.ecs, self.iam, self.s3 = rig.client("ecs"), rig.client("iam"), rig.client("s3")
        self._images: dict[tuple[str, tuple[str, ...], bool], str] = {}
        ec2, balancing = rig.client("ec2"), rig.client("elbv2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        self.subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"{REGION}{zone}")["Subnet"][
                "SubnetId"
            ]
            for number, zone in enumerate("ab")
        ]
        self.group = ec2.create_security_group(GroupName="scene", Description="scene", VpcId=vpc)["GroupId"]
        self.targets = balancing.create_target_group(
            Name="scene",
            Protocol="HTTP",
            Port=PORT,
            VpcId=vpc,
            TargetType="ip",
            HealthCheckPath="/health",
            HealthCheckIntervalSeconds=10,
            HealthyThresholdCount=2,
            UnhealthyThresholdCount=3,
        )["TargetGroups"][0]["TargetGroupArn"]
        self.drain(drain_s)
        balancer = balancing.create_load_balancer(Name="scene", Subnets=self.subnets)["LoadBalancers"][0]
        balancing.create_listener(
            LoadBalancerArn=balancer["LoadBalancerArn"],
            Port=80,
            Protocol="HTTP",
            DefaultActions=[{"Type": "forward", "TargetGroupArn": self.targets}],
        )
        self.url = f"http://{balancer['DNSName']}"
        self.ecs.create_cluster(clusterName=CLUSTER)
        rig.client("logs").create_log_group(logGroupName=GROUP)
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.s3.put_object(Bucket=BUCKET, Key="first", Body=b"1")
        self.secret = rig.client("secretsmanager").create_secret(
            Name="scene/server", SecretString=json.dumps({"password": "s3cret"})
        )["ARN"]
        self.execution = self.role("execution", self.execution_grants())
        self.server = self.role(
            "server",
            [allow("s3:GetObject", f"arn:aws:s3:::{BUCKET}/*"), allow("s3:ListBucket", f"arn:aws:s3:::{BUCKET}")],
        )

    def execution_grants(self) -> list[dict[str, Any]]:
        """Return what ECS needs for a task, by exact ARN."""
        logs = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{GROUP}:log-stream:*"
        return [
            allow("secretsmanager:GetSecretValue", self.secret),
            allow(["logs:CreateLogStream", "logs:PutLogEvents"], logs),
            allow("ecr:GetAuthorizationToken", "*"),
            allow("ecr:BatchGetImage", f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/mlflow-backend"),
        ]

    def drain(self, seconds: int) -> None:
        """Set how long a target that leaves may work on."""
        self.rig.client("elbv2").modify_target_group_attributes(
            TargetGroupArn=self.targets,
            Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": str(seconds)}],
        )

    def role(self, name: str, statements: Sequence[Mapping[str, Any]], *, service: str = "ecs-tasks") -> str:
        """Make a role that a service may take."""
        trust = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": "sts:AssumeRole"}
        role = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=_document([trust]))["Role"]
        self.iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=_document(statements))
        return str(role["Arn"])

    def image(self, behaviour: str = "", *, platforms: Sequence[str] = ("linux/amd64",), index: bool = True) -> str:
        """Return an image of the tiny server, published once."""
        key = (behaviour, tuple(platforms), index)
        if key not in self._images:
            tag = f"tiny-{len(self._images)}"
            self._images[key] = self.publish(tag, contents.small(behaviour), platforms=platforms, index=index)
        return self._images[key]

    def publish(
        self, tag: str, held: Contents, *, platforms: Sequence[str] = ("linux/amd64",), index: bool = True
    ) -> str:
        """Publish an image."""
        labels = contents.labels(VERSION)
        return self.rig.images.publish(tag, held, labels=labels, platforms=platforms, index=index)

    def register(
        self,
        image: str,
        *,
        role: str = "",
        execution: str = "",
        secret: str = "",
        environment: Mapping[str, str] | None = None,
        architecture: str = "X86_64",
        group: str = GROUP,
        command: Sequence[str] = ("mlflow", "server", "--host", "0.0.0.0", "--port", str(PORT)),  # noqa: S104
    ) -> str:
        """Register a revision and return its ARN."""
        options = {"awslogs-group": group, "awslogs-region": REGION, "awslogs-stream-prefix": "server"}
        variables = {"BUCKET": BUCKET, **(environment or {})}
        container = {
            "name": "server",
            "image": image,
            "command": list(command),
            "readonlyRootFilesystem": True,
            "logConfiguration": {"logDriver": "awslogs", "options": options},
            "portMappings": [{"containerPort": PORT}],
            "environment": [{"name": key, "value": value} for key, value in variables.items()],
            "secrets": [{"name": "PASSWORD", "valueFrom": secret or f"{self.secret}:password::"}],
            "healthCheck": {
                "command": ["CMD", "python", "-c", _HEALTH], "interval": 10, "retries": 3, "timeout": 5,
                "startPeriod": 180,
            },
            "stopTimeout": 120,
            "dockerLabels": {VERSION_LABEL: VERSION},
        }  # fmt: skip
        return str(
            self.ecs.register_task_definition(
                family=FAMILY,
                networkMode="awsvpc",
                requiresCompatibilities=["FARGATE"],
                cpu="256",
                memory="512",
                taskRoleArn=role or self.server,
                executionRoleArn=execution or self.execution,
                runtimePlatform={"cpuArchitecture": architecture, "operatingSystemFamily": "LINUX"},
                containerDefinitions=[container],
            )["taskDefinition"]["taskDefinitionArn"]
        )

    def network(self) -> dict[str, Any]:
        """Return where tasks lie."""
        return {"awsvpcConfiguration": {"subnets": self.subnets, "securityGroups": [self.group]}}

    def serve(self, revision: str, *, desired: int = 2, breaker: bool = True) -> None:
        """Make the service."""
        self.ecs.create_service(
            cluster=CLUSTER,
            serviceName=SERVICE,
            taskDefinition=revision,
            desiredCount=desired,
            launchType="FARGATE",
            networkConfiguration=self.network(),
            healthCheckGracePeriodSeconds=self._grace_s,
            loadBalancers=[{"targetGroupArn": self.targets, "containerName": "server", "containerPort": PORT}],
            deploymentConfiguration={
                "deploymentCircuitBreaker": {"enable": breaker, "rollback": breaker},
                "minimumHealthyPercent": 100,
                "maximumPercent": 200,
            },
        )

    def update(self, revision: str, **more: Any) -> None:
        """Give the service another revision."""
        self.ecs.update_service(cluster=CLUSTER, service=SERVICE, taskDefinition=revision, **more)

    def service(self) -> dict[str, Any]:
        """Return the service as ECS describes it."""
        return dict(self.ecs.describe_services(cluster=CLUSTER, services=[SERVICE])["services"][0])

    def settled(self) -> dict[str, Any]:
        """Wait until no deployment is under way and no old task is left, and return the service."""

        def probe() -> dict[str, Any] | None:
            service = self.service()
            over = len(service["deployments"]) == 1 and service["deployments"][0]["rolloutState"] != "IN_PROGRESS"
            return service if over else None

        found = until(probe, what="a settled service", deadline_s=_SETTLED_S)
        assert found is not None
        return found

    def breaker(self, *, on: bool) -> None:
        """Let the circuit breaker give a deployment up and go back, or not."""
        breaker = {"enable": on, "rollback": on}
        self.ecs.update_service(
            cluster=CLUSTER, service=SERVICE, deploymentConfiguration={"deploymentCircuitBreaker": breaker}
        )

    def stopped(self, revision: str) -> list[dict[str, Any]]:
        """Return the tasks of a revision that stopped."""
        arns = self.ecs.list_tasks(cluster=CLUSTER, serviceName=SERVICE, desiredStatus="STOPPED")["taskArns"]
        tasks = self.ecs.describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"] if arns else []
        return [each for each in tasks if each["taskDefinitionArn"] == revision]

    def stopped_reasons(self, revision: str) -> set[str]:
        """Return why tasks of a revision stopped, in ECS's words."""
        return {each.get("stoppedReason", "") for each in self.stopped(revision)}

    def running(self) -> list[str]:
        """Return the revisions of the tasks that have a process, one entry a task."""
        return [each.definition.arn for each in self.rig.live_tasks]


def _document(statements: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
