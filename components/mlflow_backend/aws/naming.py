"""The account and region of a backend, the names of its parts, and the ARNs that can be said beforehand. Pure.

Every physical name is given, none is left to chance: the ledger, the rollback command and the IAM documents must be
able to name a part before it exists. Names hold the stack, and if a service's names are not bound to a region
(IAM, S3) the region or the account too, so that backends never meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mlflow_backend.naming import truncated_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.settings import Settings

LIMITS: Final[Mapping[str, int]] = {
    "cluster": 255,
    "service": 255,
    "family": 255,
    "balancer": 32,
    "targets": 32,
    "security_group": 255,
    "database": 63,
    "database_group": 255,
    "cache": 40,
    "cache_group": 255,
    "bucket": 63,
    "role": 64,
    "schedule": 64,
    "secret": 512,
    "log_group": 512 - len("/"),
    "topic": 256,
    "alarm": 255,
    "dashboard": 255,
    "repository": 256,
    "eks_cluster": 100,
    "node_group": 63,
    "key_alias": 256 - len("alias/"),
}
"""The longest name that each service accepts, from the services' API references (docs/targets/ecs.md has the list)."""

SERVER_LOGS: Final = "server"
TASKS_LOGS: Final = "tasks"
LOG_GROUPS: Final = (SERVER_LOGS, TASKS_LOGS)
"""Log groups of a backend: the server's, and that of all one-shot tasks."""

_PARTITIONS = (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"))


@dataclass(frozen=True, kw_only=True)
class Naming:
    """The names of one backend: of the component `name` in a stack."""

    project: str
    stack: str
    name: str = "mlflow"
    account: str
    region: str

    @classmethod
    def of(cls, settings: Settings, *, project: str, stack: str, name: str = "mlflow") -> Naming:
        """Return the names in the account and region of `settings`, which must name both."""
        account, region = str(settings.aws.account), str(settings.aws.region)
        return cls(project=project, stack=stack, name=name, account=account, region=region)

    @property
    def partition(self) -> str:
        """The partition that every ARN starts with."""
        return next((name for prefix, name in _PARTITIONS if self.region.startswith(prefix)), "aws")

    @property
    def domain(self) -> str:
        """The domain of AWS's endpoints in this partition."""
        return "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com"

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of something that belongs to a region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def global_arn(self, service: str, resource: str) -> str:
        """Return the ARN of something that belongs to the account in all regions, such as a role."""
        return f"arn:{self.partition}:{service}::{self.account}:{resource}"

    def bucket_arn(self, bucket: str, path: str = "") -> str:
        """Return the ARN of a bucket, or of objects in it: `path` starts with a slash and may hold wildcards."""
        return f"arn:{self.partition}:s3:::{bucket}{path}"

    def cluster(self) -> str:
        """Return the cluster's name."""
        return self._name("cluster")

    def eks_cluster(self) -> str:
        """Return the name of the EKS cluster."""
        return self._name("eks_cluster")

    def node_group(self) -> str:
        """Return the name of the EKS cluster's node group, and of its launch template."""
        return self._name("node_group", "nodes")

    def service(self) -> str:
        """Return the service's name."""
        return self._name("service")

    def family(self, task: str) -> str:
        """Return the family of task definitions of `task`: `server`, or a one-shot task's part."""
        return self._name("family", task)

    def balancer(self) -> str:
        """Return the load balancer's name."""
        return self._name("balancer")

    def targets(self) -> str:
        """Return the target group's name."""
        return self._name("targets")

    def security_group(self, part: str) -> str:
        """Return the name of the security group of `part`."""
        return self._name("security_group", part)

    def database(self) -> str:
        """Return the database instance's identifier."""
        return self._name("database")

    def database_group(self) -> str:
        """Return the name of the database's subnet group and parameter group."""
        return self._name("database_group")

    def cache(self) -> str:
        """Return the replication group's identifier."""
        return self._name("cache")

    def cache_group(self) -> str:
        """Return the name of the cache's subnet group and parameter group."""
        return self._name("cache_group")

    def bucket(self, part: str) -> str:
        """Return the name of a bucket: `data` or `logs`. All accounts of the world share one set of bucket names."""
        return self._name("bucket", part, self.account, self.region)

    def role(self, part: str) -> str:
        """Return the name of a role; the account's regions share one set of them."""
        return self._name("role", self.region, part)

    def role_arn(self, part: str) -> str:
        """Return the ARN of a role."""
        return self.global_arn("iam", f"role/{self.role(part)}")

    def secret(self, part: str) -> str:
        """Return the name of a secret: `server`, which AWS gives six random characters more, `cache` or `api-keys`."""
        return self._name("secret", part)

    def log_group(self, part: str) -> str:
        """Return the name of a log group: `server` or `tasks`."""
        return f"/{self._name('log_group', part)}"

    def log_group_arn(self, part: str) -> str:
        """Return the ARN of a log group, without the `:*` that stands for its streams."""
        return self.arn("logs", f"log-group:{self.log_group(part)}")

    def insights_group(self) -> str:
        """Return the name of the log group of Container Insights, which is the service's choice."""
        return f"/aws/ecs/containerinsights/{self.cluster()}/performance"

    def schedule(self, what: str) -> str:
        """Return the name of a schedule of EventBridge Scheduler, in its group `default`."""
        return self._name("schedule", what)

    def topic(self) -> str:
        """Return the alarm topic's name."""
        return self._name("topic", "alarms")

    def alarm(self, what: str) -> str:
        """Return the name of one alarm."""
        return self._name("alarm", what)

    def dashboard(self) -> str:
        """Return the dashboard's name; an account's regions share one set of them."""
        return self._name("dashboard", self.region)

    def repository(self) -> str:
        """Return the name of the ECR repository."""
        return self._name("repository")

    def key_alias(self) -> str:
        """Return the alias of the backend's KMS key."""
        return f"alias/{self._name('key_alias')}"

    def _name(self, kind: str, *parts: str) -> str:
        return truncated_name(self.project, self.stack, self.name, *parts, limit=LIMITS[kind])
