"""What is billed by the hour or the month, counted from the plan before and after. Pure, and without any price.

Only what a stack bills for standing there is counted; what is billed by use (requests, bytes through a NAT gateway, log
lines) is not known before it is used, and `by_use` names it in every report.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend import tokens
from mlflow_backend.report.events import known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mlflow_backend.report.events import State, Step

_ADDRESS: Final = "Public IPv4 address"
_ENDPOINT: Final = "aws:ec2/vpcEndpoint:VpcEndpoint"
_INTERFACE: Final = "Interface"

HOUR: Final = "hour"
MONTH: Final = "month"

_CPU_UNITS: Final = 1024
_MIB: Final = 1024
# Of a task's disk (Amazon ECS developer guide, 'Fargate task ephemeral storage').
_INCLUDED_GIB: Final = 20
# Amazon ECS developer guide, 'Target tracking scaling policies': one to add tasks, one to take some away.
_ALARMS_OF_A_POLICY: Final = 2


BY_USE: Final[Mapping[str, tuple[str, ...]]] = {
    "aws:cloudwatch/logGroup:LogGroup": ("log lines taken in", "log lines kept"),
    "aws:ec2/natGateway:NatGateway": ("data through NAT gateways",),
    "aws:ec2/vpcEndpoint:VpcEndpoint": ("data through interface endpoints",),
    "aws:ecs/cluster:Cluster": ("Container Insights' custom metrics",),
    "aws:ecs/service:Service": (
        "data out of the region and between zones", "one-shot tasks", "images kept in their registry",
    ),
    "aws:elasticache/replicationGroup:ReplicationGroup": ("snapshots of the cache",),
    "aws:kms/key:Key": ("requests to KMS",),
    "aws:lb/loadBalancer:LoadBalancer": ("the balancer's capacity units (LCU)",),
    "aws:rds/instance:Instance": ("snapshots of the database, and backups beyond the database's size",),
    "aws:route53/record:Record": ("DNS queries",),
    "aws:s3/bucket:Bucket": ("objects kept and their older versions", "requests to S3"),
    "aws:secretsmanager/secret:Secret": ("requests to Secrets Manager",),
    "aws:sns/topic:Topic": ("notifications",),
    tokens.AWS_INSIGHTS_LOGS: ("log lines taken in", "log lines kept"),
    tokens.AWS_SERVER_SECRETS: ("requests to Secrets Manager",),
    tokens.AWS_API_KEYS: ("requests to Secrets Manager",),
}  # fmt: skip
"""Type -> what AWS bills of it by use, besides what is counted."""


def by_use(steps: Iterable[Step]) -> tuple[str, ...]:
    """Return what the stack is billed for by use, after or before `steps`, each once."""
    standing = [
        step.type for step in steps if step.type != _ENDPOINT or step.inputs.get("vpcEndpointType") == _INTERFACE
    ]
    return tuple(sorted({each for kind in standing for each in BY_USE.get(kind, ())}))


@dataclass(frozen=True, kw_only=True)
class Billed:
    """One quantity before and after the update; None where it is not known yet.

    `key` names it for machines, such as `rds-instance:db.t4g.micro`. `per` is the unit's time, hour or month.
    """

    key: str
    what: str
    unit: str
    per: str
    before: float | None
    after: float | None

    @property
    def changed(self) -> bool:
        """Whether the update changes it, or may."""
        return self.before != self.after


@dataclass(frozen=True, kw_only=True)
class TaskSize:
    """CPU units and MiB of one server task, as rendered from the settings: a first preview does not know them."""

    cpu: int
    memory: int


@dataclass(frozen=True, kw_only=True)
class _Item:
    key: str
    what: str
    unit: str
    per: str
    amount: float | None


def billed(steps: Iterable[Step], *, size: TaskSize | None = None) -> tuple[Billed, ...]:
    """Return every billed quantity of the stack before and after `steps`."""
    steps = [step for step in steps if step.op not in {"create-replacement", "delete-replaced"}]
    before = _summed(_items([step.old for step in steps], steps, size=None))
    after = _summed(_items([step.new if step.op != "delete" else None for step in steps], steps, size=size))
    keys = dict.fromkeys([*before, *after])
    return tuple(
        Billed(
            key=key,
            what=found.what,
            unit=found.unit,
            per=found.per,
            before=before[key].amount if key in before else 0,
            after=after[key].amount if key in after else 0,
        )
        for key in sorted(keys)
        for found in [after.get(key) or before[key]]
    )


def _items(states: list[State | None], steps: list[Step], *, size: TaskSize | None) -> Iterator[_Item]:
    standing = [(step.type, step.name, state.inputs) for step, state in zip(steps, states, strict=True) if state]
    for type_token, _, inputs in standing:
        if counted := COUNTED.get(type_token):
            yield from counted(inputs)
    for number, inputs in enumerate(inputs for token, _, inputs in standing if token == _SERVICE):
        yield from _tasks(inputs, _server_task(standing), size if number == 0 else None)


_SERVICE: Final = "aws:ecs/service:Service"
_TASK: Final = "aws:ecs/taskDefinition:TaskDefinition"


def _server_task(standing: list[tuple[str, str, Mapping[str, Any]]]) -> Mapping[str, Any]:
    """Return the task definition that the service runs, which is known by its name: a stream tells no dependencies."""
    return next((i for kind, name, i in standing if kind == _TASK and name.endswith("-server")), {})


def _tasks(service: Mapping[str, Any], task: Mapping[str, Any], size: TaskSize | None) -> Iterator[_Item]:
    count = _number(service.get("desiredCount"))
    cpu = _number(task.get("cpu"))
    memory = _number(task.get("memory"))
    if size is not None:
        cpu, memory = cpu if cpu is not None else size.cpu, memory if memory is not None else size.memory
    yield _Item(
        key="fargate-vcpu", what="Fargate vCPU", unit="vCPU", per=HOUR, amount=_product(count, cpu, 1 / _CPU_UNITS)
    )
    yield _Item(
        key="fargate-memory", what="Fargate memory", unit="GB", per=HOUR, amount=_product(count, memory, 1 / _MIB)
    )
    disk = task.get("ephemeralStorage")
    if isinstance(disk, Mapping) and (size_gib := _number(disk.get("sizeInGib"))) is not None:
        yield _Item(
            key="fargate-disk", what=f"Fargate disk beyond {_INCLUDED_GIB} GiB a task", unit="GiB", per=HOUR,
            amount=_product(count, max(0, size_gib - _INCLUDED_GIB)),
        )  # fmt: skip
    network = service.get("networkConfiguration")
    if isinstance(network, Mapping) and network.get("assignPublicIp") is True:
        yield _Item(key="public-ipv4", what=_ADDRESS, unit="address", per=HOUR, amount=count)


def _instance(inputs: Mapping[str, Any]) -> Iterator[_Item]:
    standby = 2 if inputs.get("multiAz") is True else 1
    name = _text(inputs.get("instanceClass"))
    yield _Item(key=f"rds-instance:{name}", what=f"RDS instance {name}", unit="instance", per=HOUR, amount=standby)
    kind = _text(inputs.get("storageType") or "gp3")
    storage = _product(_number(inputs.get("allocatedStorage")), standby)
    yield _Item(key=f"rds-storage:{kind}", what=f"RDS storage ({kind})", unit="GiB", per=MONTH, amount=storage)
    if inputs.get("manageMasterUserPassword") is True:
        yield from _secret(inputs)


def _cache(inputs: Mapping[str, Any]) -> Iterator[_Item]:
    name = _text(inputs.get("nodeType"))
    engine = _text(inputs.get("engine"))
    yield _Item(
        key=f"cache-node:{engine}:{name}",
        what=f"ElastiCache node {name} ({engine})",
        unit="node",
        per=HOUR,
        amount=_number(inputs.get("numCacheClusters", 1)),
    )


def _endpoint(inputs: Mapping[str, Any]) -> Iterator[_Item]:
    if inputs.get("vpcEndpointType") == _INTERFACE:
        zones = _length(inputs.get("subnetIds"))
        yield _Item(
            key="vpc-endpoint", what="VPC interface endpoint, each zone", unit="endpoint", per=HOUR, amount=zones
        )


def _balancer(inputs: Mapping[str, Any]) -> Iterator[_Item]:
    yield _Item(key="load-balancer", what="Application load balancer", unit="balancer", per=HOUR, amount=1)
    if inputs.get("internal") is not True:
        # One in each zone at least; ELB adds more as it grows.
        zones = _length(inputs.get("subnets"))
        yield _Item(key="public-ipv4", what=_ADDRESS, unit="address", per=HOUR, amount=zones)


def _length(value: Any) -> int | None:
    return len(value) if isinstance(value, list | tuple) else None


def _one(key: str, what: str, unit: str, per: str, amount: int = 1) -> Callable[[Mapping[str, Any]], Iterator[_Item]]:
    def item(_inputs: Mapping[str, Any]) -> Iterator[_Item]:
        yield _Item(key=key, what=what, unit=unit, per=per, amount=amount)

    return item


_secret: Final = _one("secret", "Secrets Manager secret", "secret", MONTH)
COUNTED: Final[Mapping[str, Callable[[Mapping[str, Any]], Iterator[_Item]]]] = {
    "aws:rds/instance:Instance": _instance,
    "aws:elasticache/replicationGroup:ReplicationGroup": _cache,
    _ENDPOINT: _endpoint,
    "aws:ec2/natGateway:NatGateway": _one("nat-gateway", "NAT gateway", "gateway", HOUR),
    "aws:ec2/eip:Eip": _one("public-ipv4", _ADDRESS, "address", HOUR),
    "aws:lb/loadBalancer:LoadBalancer": _balancer,
    "aws:kms/key:Key": _one("kms-key", "KMS key", "key", MONTH),
    "aws:secretsmanager/secret:Secret": _secret,
    tokens.AWS_SERVER_SECRETS: _secret,
    tokens.AWS_API_KEYS: _secret,
    "aws:cloudwatch/metricAlarm:MetricAlarm": _one("alarm", "CloudWatch alarm", "alarm", MONTH),
    "aws:appautoscaling/policy:Policy": _one("alarm", "CloudWatch alarm", "alarm", MONTH, _ALARMS_OF_A_POLICY),
    "aws:cloudwatch/logMetricFilter:LogMetricFilter": _one("metric", "CloudWatch custom metric", "metric", MONTH),
    "aws:cloudwatch/dashboard:Dashboard": _one("dashboard", "CloudWatch dashboard", "dashboard", MONTH),
}


def _summed(items: Iterable[_Item]) -> dict[str, _Item]:
    found: dict[str, _Item] = {}
    amounts: defaultdict[str, float] = defaultdict(float)
    unknown: set[str] = set()
    for item in items:
        found[item.key] = item
        if item.amount is None:
            unknown.add(item.key)
        else:
            amounts[item.key] += item.amount
    return {
        key: _Item(
            key=key, what=item.what, unit=item.unit, per=item.per, amount=None if key in unknown else amounts[key]
        )
        for key, item in found.items()
    }


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or value is None or not known(value):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _product(*factors: float | None) -> float | None:
    found = 1.0
    for factor in factors:
        if factor is None:
            return None
        found *= factor
    return round(found, 6)


def _text(value: Any) -> str:
    return value if isinstance(value, str) and known(value) else "not known yet"
