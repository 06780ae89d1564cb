"""Network, balancer, sizes, names, buckets, alarms: exact values, and the rules that hold for all stacks."""

from __future__ import annotations

import ipaddress
import itertools

import pytest

from mlflow_backend.aws.naming import LIMITS, Naming
from mlflow_backend.aws.render import alarms, balancer, cache, database, network, storage
from mlflow_backend.ecs.render import service, size
from mlflow_backend.server import ServerInputs, describe
from mlflow_backend.server.addresses import ArtifactStore, DatabaseAddress
from mlflow_backend.settings.instance_class import memory_gib, most_connections
from tests.components.ecs.stacks import VARIANTS, changed, naming_of, settings_of

LONG_STACK = "a-stack-with-a-name-that-somebody-thought-was-a-good-idea-at-the-time"


def names_of(naming: Naming) -> dict[str, str]:
    """Return every physical name of a naming, by kind."""
    return {
        "cluster": naming.cluster(), "eks_cluster": naming.eks_cluster(), "node_group": naming.node_group(),
        "service": naming.service(), "family": naming.family("database"),
        "balancer": naming.balancer(), "targets": naming.targets(),
        "security_group": naming.security_group("endpoints"),
        "database": naming.database(), "database_group": naming.database_group(), "cache": naming.cache(),
        "cache_group": naming.cache_group(), "bucket": naming.bucket("data"), "role": naming.role("server-execution"),
        "secret": naming.secret("server"), "log_group": naming.log_group("server"), "topic": naming.topic(),
        "schedule": naming.schedule("backup"),
        "alarm": naming.alarm("database-connections"), "dashboard": naming.dashboard(),
        "repository": naming.repository(), "key_alias": naming.key_alias(),
    }  # fmt: skip


@pytest.mark.parametrize("stack", ["dev", "staging", LONG_STACK])
def test_names_are_within_each_services_limit(stack: str) -> None:
    """AWS refuses a name that is one character too long, half-way through an update."""
    names = names_of(Naming(project="mlflow-backend", stack=stack, account="123456789012", region="ap-southeast-2"))
    assert names.keys() == LIMITS.keys()
    prefixes = {"log_group": "/", "key_alias": "alias/"}
    for kind, name in names.items():
        assert 0 < len(name.removeprefix(prefixes.get(kind, ""))) <= LIMITS[kind], kind


def test_backends_never_meet() -> None:
    """Two stacks in one account, one stack in two regions, one in two accounts: no name that could clash is shared."""
    stacks = ("dev", "staging", LONG_STACK, f"{LONG_STACK}-2")
    places = [
        Naming(project="mlflow-backend", stack=stack, account=account, region=region)
        for stack in stacks
        for account in ("111111111111", "222222222222")
        for region in ("eu-west-1", "us-east-1")
    ]
    for one, other in itertools.combinations(places, 2):
        first, second = names_of(one), names_of(other)
        shared = {kind for kind in first if first[kind] == second[kind]}
        assert "bucket" not in shared, "all accounts of the world share the bucket names"
        if one.account == other.account:
            assert not shared & {"role", "dashboard"}, "all regions of an account share these"
        if (one.account, one.region) == (other.account, other.region):
            assert not shared


@pytest.mark.parametrize(
    ("region", "partition"), [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
)
def test_arns_begin_with_the_partition(region: str, partition: str) -> None:
    """China and GovCloud have ARNs of their own; a document with the wrong one grants nothing."""
    naming = Naming(project="p", stack="s", account="1", region=region)
    assert naming.arn("ecs", "x").startswith(f"arn:{partition}:ecs:{region}:1:")
    assert naming.bucket_arn("b", "/*") == f"arn:{partition}:s3:::b/*"
    assert naming.role_arn("server").startswith(f"arn:{partition}:iam::1:role/")


def test_subnets_are_exactly_these() -> None:
    """Equal parts that never overlap, public ones in the first half."""
    plan = network.network_plan(settings_of("staging"))
    assert [(subnet.suffix, subnet.cidr) for subnet in plan.subnets] == [
        ("public-0", "10.42.0.0/19"),
        ("public-1", "10.42.32.0/19"),
        ("public-2", "10.42.64.0/19"),
        ("private-0", "10.42.128.0/19"),
        ("private-1", "10.42.160.0/19"),
        ("private-2", "10.42.192.0/19"),
    ]


@pytest.mark.parametrize("cidr", ["10.0.0.0/16", "172.16.0.0/20", "192.168.0.0/21"])
def test_a_third_zone_moves_no_subnet(cidr: str) -> None:
    """Growing a network must not replace the subnets that hold the database."""
    two = network.network_plan(changed("staging", {"aws": {"network": {"cidr": cidr, "zones": 2}}})).subnets
    three = network.network_plan(changed("staging", {"aws": {"network": {"cidr": cidr, "zones": 3}}})).subnets
    assert {(s.suffix, s.cidr) for s in two} < {(s.suffix, s.cidr) for s in three}
    blocks = [ipaddress.IPv4Network(subnet.cidr) for subnet in three]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(blocks, 2))
    assert all(block.subnet_of(ipaddress.IPv4Network(cidr)) for block in blocks)


@pytest.mark.parametrize(
    ("egress", "gateways", "of_zones", "endpoints", "public"),
    [
        ("nat", 1, (0, 0, 0), False, False),
        ("natPerZone", 3, (0, 1, 2), False, False),
        ("endpoints", 0, (None, None, None), True, False),
        ("publicIp", 0, (None, None, None), False, True),
    ],
)
def test_ways_out(
    *, egress: str, gateways: int, of_zones: tuple[int | None, ...], endpoints: bool, public: bool
) -> None:
    """One gateway for all, one a zone, endpoints, or public addresses."""
    plan = network.network_plan(changed("staging", {"aws": {"network": {"egress": egress}}}))
    assert plan.gateways == gateways
    assert tuple(plan.gateway_of(zone) for zone in range(3)) == of_zones
    assert bool(plan.endpoints) is endpoints
    assert plan.tasks_are_public is public


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_only_path_is_balancer_server_database_and_cache(variant: str) -> None:
    """Each way in has its way out and the other way round; nothing outside reaches past the balancer."""
    rules = network.rules(settings_of(variant))
    assert len({rule.suffix for rule in rules}) == len(rules)
    ways_in = {(rule.peer, rule.group, rule.port) for rule in rules if rule.direction == "ingress" and rule.peer}
    ways_out = {(rule.group, rule.peer, rule.port) for rule in rules if rule.direction == "egress" and rule.peer}
    assert ways_in == ways_out
    for rule in rules:
        if rule.direction == "ingress" and rule.cidr:
            assert rule.group == "balancer"
    into = {(source, target) for source, target, _ in ways_in}
    assert {source for source, target in into if target == "database"} == {"server", "tasks"}
    assert {source for source, target in into if target == "cache"} == {"server"}
    assert {source for source, target in into if target == "server"} == {"balancer"}


def test_an_adopted_database_is_reached_at_its_own_port() -> None:
    """The rules follow the address."""
    ports = {(rule.group, rule.peer): rule.port for rule in network.rules(settings_of("adopted"))}
    assert ports["server", "database"] == 6432
    assert ports["server", "cache"] == 6380


def test_an_internal_balancer_is_called_from_its_own_network() -> None:
    """The servers' and the verification's own group may reach it; verification runs inside then."""
    settings = settings_of("internal")
    assert network.callers(settings) == ("10.42.0.0/16",)
    assert ("tasks", "balancer") in {(rule.group, rule.peer) for rule in network.rules(settings)}
    assert ("tasks", "balancer") not in {(rule.group, rule.peer) for rule in network.rules(settings_of("staging"))}


@pytest.mark.parametrize(
    ("request_timeout", "expected"),
    [
        (300, (300, 300, 120, 240)),
        (60, (60, 60, 80, 240)),
        (5, (5, 5, 25, 240)),
        (3600, (3600, 3600, 120, 240)),
    ],
)
def test_every_time_follows_from_the_longest_request(request_timeout: int, expected: tuple[int, int, int, int]) -> None:
    """Idle, deregistration, stop and grace, within the limits of ALB and Fargate."""
    found, stop = balancer.timeouts(request_timeout), balancer.stop_timeout(request_timeout + 20)
    assert (found.idle, found.deregistration, stop, found.grace) == expected


@pytest.mark.parametrize("version", ["2.9.2", "3.4.0", "3.17.2"])
@pytest.mark.parametrize("request_timeout", [5, 60, 300, 3600])
def test_the_server_keeps_a_connection_longer_than_the_balancer(version: str, request_timeout: int) -> None:
    """The other way round gives sporadic 502s: the balancer reuses a connection that the server just closed."""
    inputs = ServerInputs(
        mlflow_version=version,
        public_url="https://x.example.com",
        host="0.0.0.0",  # noqa: S104 - text only
        port=5000,
        database=DatabaseAddress(host="d", port=5432, name="m", user="m", password="p"),
        artifacts=ArtifactStore(destination="s3://b/artifacts"),
        request_timeout_s=request_timeout,
    )
    argv = " ".join(describe(inputs).argv)
    words = argv.replace("=", " ").split()
    flag = "--timeout-keep-alive" if "--timeout-keep-alive" in words else "--keep-alive"
    keep_alive = int(words[words.index(flag) + 1])
    assert keep_alive > balancer.timeouts(request_timeout).idle


def test_https_redirects_and_plain_http_is_warned_of() -> None:
    """A certificate gives HTTPS with a redirect; without one there is a warning that says what it means."""
    secure = balancer.listeners(settings_of("staging"))
    assert (secure.scheme, secure.port, secure.redirect_port, secure.warning) == ("https", 443, 80, None)
    plain = balancer.listeners(settings_of("dev"))
    assert (plain.scheme, plain.port, plain.redirect_port) == ("http", 80, None)
    assert "plain HTTP" in (plain.warning or "")
    assert balancer.public_url(settings_of("dev"), "Internal-X.elb.amazonaws.com") == (
        "http://internal-x.elb.amazonaws.com"
    )
    staging = settings_of("staging")
    assert balancer.public_url(staging, "x") == "https://mlflow.staging.example.com"
    below = staging.model_copy(update={"network": staging.network.model_copy(update={"path_prefix": "/team/ml"})})
    assert balancer.public_url(below, "x") == "https://mlflow.staging.example.com/team/ml"


@pytest.mark.parametrize(
    ("cpu", "memory", "need", "expected"),
    [
        (None, None, 560, (1024, 2048)),
        (None, None, 2960, (1024, 4096)),
        (None, None, 12000, (2048, 15360)),
        (256, None, 560, (256, 1024)),
        (None, 4096, 560, (512, 4096)),
        (2048, 4096, 850, (2048, 4096)),
        (16384, 122880, 560, (16384, 122880)),
    ],
)
def test_fargate_sizes(cpu: int | None, memory: int | None, need: int, expected: tuple[int, int]) -> None:
    """What is asked for is taken; what is left open becomes the smallest that does."""
    assert size.fargate_size(cpu=cpu, memory=memory, need_mib=need) == expected


@pytest.mark.parametrize(
    ("cpu", "memory", "told"),
    [
        (512, 9999, "with 512 go: 1024, 2048, 3072, 4096"),
        (300, 1024, "there are: 256, 512"),
        (300, None, "there are: 256, 512"),
        (None, 2500, "the nearest is 2048"),
        (256, 4096, "with 256 go: 512, 1024, 2048"),
    ],
)
def test_a_size_that_fargate_lacks_is_reported_with_those_it_has(
    cpu: int | None, memory: int | None, told: str
) -> None:
    """The message alone is enough to choose again."""
    with pytest.raises(ValueError, match="Fargate has no task") as caught:
        size.fargate_size(cpu=cpu, memory=memory, need_mib=560)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("instance_class", "gib"),
    [
        ("db.t4g.micro", 1), ("db.t3.medium", 4), ("db.m7g.large", 8), ("db.m6i.xlarge", 16), ("db.r6g.large", 16),
        ("db.r7g.4xlarge", 128), ("db.x2g.large", 32), ("db.z9.huge", None), ("db.t4g.nope", None),
    ],
)  # fmt: skip
def test_memory_of_instance_classes(instance_class: str, gib: int | None) -> None:
    """Known families by their pattern; an unknown one is not guessed."""
    assert memory_gib(instance_class) == gib


def test_connections_follow_rds_own_rule() -> None:
    """RDS's default for max_connections is the memory over 9531392."""
    assert most_connections("db.t4g.micro") == 112
    assert most_connections("db.m7g.large") == 901


def test_the_database_forces_tls_and_keeps_backups() -> None:
    """Thirty days unless the stack says otherwise; the connections of the settings are those of the instance."""
    plan = database.database_plan(settings_of("staging"))
    parameters = {parameter.name: parameter for parameter in plan.parameters}
    assert parameters["rds.force_ssl"].value == "1"
    assert parameters["max_connections"].value == "850"
    assert parameters["max_connections"].static
    assert (plan.retention_days, plan.protect, plan.multi_az) == (30, True, True)
    assert database.database_plan(changed("staging", {"backup": {"retentionDays": None}})).retention_days == 30
    assert not database.database_plan(settings_of("dev")).protect


def test_data_is_protected_unless_settings_say_no() -> None:
    """Leaving the setting out protects."""
    assert database.protected(changed("staging", {"backup": {"protect": None}}))


def test_two_backends_of_one_name_leave_two_snapshots() -> None:
    """Otherwise the second destroy fails on the first one's snapshot."""
    one = database.final_snapshot("mlflow-backend-staging", "arn:x:secret:s-AbCdEf")
    assert one == "mlflow-backend-staging-final-abcdef"
    assert one != database.final_snapshot("mlflow-backend-staging", "arn:x:secret:s-GhIjKl")


def test_the_cache_never_throws_jobs_away() -> None:
    """A queue under an evicting policy loses entries silently."""
    assert cache.PARAMETERS == {"maxmemory-policy": "noeviction"}
    assert cache.cache_plan(settings_of("staging")).fails_over
    assert not cache.cache_plan(settings_of("dev")).fails_over
    redis = cache.cache_plan(changed("dev", {"aws": {"cache": {"engine": "redis"}}}))
    assert (redis.engine, redis.parameter_family) == ("redis", "redis7")


def test_nothing_current_expires_in_the_data_bucket() -> None:
    """Old versions and given-up uploads do; an artifact never."""
    for rule in storage.data_lifecycle(settings_of("staging")):
        assert rule.expire_days is None
    assert {rule.old_version_days for rule in storage.data_lifecycle(settings_of("staging"))} == {90, None}
    assert all(rule.expire_days for rule in storage.logs_lifecycle(settings_of("staging")))


@pytest.mark.parametrize(("variant", "kept"), [("dev", False), ("staging", True), ("everything", True)])
def test_a_log_bucket_is_there_when_something_logs(*, variant: str, kept: bool) -> None:
    """No empty bucket, and no log without one."""
    assert storage.keeps_logs(settings_of(variant)) is kept


def test_scaling_moves_between_replicas_and_their_most() -> None:
    """No range, no scaling."""
    plan = service.scaling(settings_of("staging"))
    assert (plan.least, plan.most, plan.moves) == (2, 4, True)
    assert not service.scaling(settings_of("dev")).moves


def test_alarms_watch_what_was_created() -> None:
    """Users, tasks, database, cache and verification; an adopted part is its owner's to watch."""
    plan = database.database_plan(settings_of("staging"))
    found = {
        alarm.name: alarm
        for alarm in alarms.alarms(
            cluster="c", database=plan, cache=True, certificate=True, scheduled=("backup", "verify")
        )
    }
    assert found.keys() == {
        "server-errors", "balancer-errors", "unhealthy-targets", "latency-p95", "component-degraded",
        "verification-red", "database-connections", "database-storage", "cache-memory", "certificate-ends",
        "verification-old", "backup-old",
    }  # fmt: skip
    assert found["database-connections"].threshold == 680
    assert found["database-storage"].threshold == 15 * 1024**3
    assert found["database-storage"].comparison == "LessThanThreshold"
    assert [alarm.name for alarm in found.values() if alarm.guards] == ["server-errors"]
    adopted = {
        alarm.name for alarm in alarms.alarms(cluster="c", database=None, cache=False, certificate=False, scheduled=())
    }
    assert not any(name.startswith(("database", "cache")) for name in adopted)


def test_the_dashboard_shows_every_alarm() -> None:
    """One graph each, side by side without overlap, each with its threshold."""
    plan = database.database_plan(settings_of("staging"))
    found = alarms.alarms(cluster="c", database=plan, cache=True, certificate=True, scheduled=("backup", "verify"))
    body = alarms.dashboard(
        region="eu-west-1",
        identifiers={
            "balancer": "app/b/1",
            "targets": "targetgroup/t/1",
            "certificate": "arn:c",
            "database": "d",
            "cache": "c-001",
        },
        found=found,
    )
    widgets = body["widgets"]
    assert [widget["properties"]["title"] for widget in widgets] == [alarm.name for alarm in found]
    assert len({(widget["x"], widget["y"]) for widget in widgets}) == len(widgets)
    assert all(widget["x"] + widget["width"] <= 24 for widget in widgets)
    assert ["AWS/RDS", "DatabaseConnections", "DBInstanceIdentifier", "d"] in [
        widget["properties"]["metrics"][0] for widget in widgets
    ]


def test_place_of_a_variant_is_its_own() -> None:
    """The helper that other tests use tells stacks apart."""
    assert naming_of("dev") != naming_of("staging")
