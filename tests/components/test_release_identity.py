"""The identity of a release on every target: it changes if what the server is given changes, and only then.

Every setting is changed, alone and together with others. A release that failed is blocked by its identity: one that
changes for nothing lets the failed release through, one that does not change keeps the mended release out.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from mlflow_backend import targets
from mlflow_backend.aws.render import storage
from mlflow_backend.aws.render.cache import cache_address
from mlflow_backend.aws.render.database import database_address
from mlflow_backend.aws.render.policies import S3Root
from mlflow_backend.aws.render.secrets import SecretSource
from mlflow_backend.cloudrun import refusals as of_cloudrun
from mlflow_backend.cloudrun.render import service as cloud_service
from mlflow_backend.contract import Refused
from mlflow_backend.ecs import refusals as of_ecs
from mlflow_backend.ecs.render import containers, tasks
from mlflow_backend.eks import refusals as of_eks
from mlflow_backend.eks.within import within
from mlflow_backend.kubernetes import refusals as of_kubernetes
from mlflow_backend.kubernetes.render import server as workload
from mlflow_backend.local import credentials, desired
from mlflow_backend.local import refusals as of_local
from mlflow_backend.local.state import StateDir
from mlflow_backend.settings import Settings, refuse_broken
from mlflow_backend.settings.models import ExtraCheck
from mlflow_backend.vulnerabilities.table import identifiers
from tests.components.cloudrun import stacks as cloudrun
from tests.components.ecs import stacks as ecs
from tests.components.eks import stacks as eks
from tests.components.kubernetes import stacks as kubernetes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlflow_backend.kubernetes.naming import Naming as ObjectNaming
    from mlflow_backend.local.desired import DesiredServer

ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:other-AbCdEf"
DIGEST = f"registry.example.com/other@sha256:{'d' * 64}"
AGE_KEY = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
OTHER_AGE_KEY = "age1v4f0g40vp977nnhec6rwhcw53p6y62s96prrgwl5hrzcdty96duspltu9j"
OTHER: dict[str, list[Any]] = {
    "server.mlflow_version": ["3.16.1"],
    "server.image": [DIGEST],
    "server.cpu": [4096],
    "server.memory": [16384, 4096],
    "server.port": [5055],
    "server.extra_flags": [{"x-frame-options": "DENY"}],
    "database.existing": ["postgresql://other.example.com:5433/tracking"],
    "cache.existing": ["rediss://other.example.com:6381"],
    "artifacts.existing": ["s3://other-bucket/root", "gs://other-bucket/root"],
    "network.existing": ["vpc-0456"],
    "network.public_url": ["https://other.example.com"],
    "network.path_prefix": ["/other"],
    "access.hosts": [["other.example.com"]],
    "access.origins": [["https://ui.example.com"]],
    "access.requests_per_minute": [77],
    "access.users": [{"ada": {"password": "env:ADA"}}],
    "access.groups": [{"risk": []}],
    "access.permissions.experiments": [{"fraud": {}}],
    "access.permissions.registered_models": [{"fraud": {}}],
    "access.permissions.scorers": [{"fraud": {"right": {}}}],
    "access.permissions.gateway_endpoints": [{"chat": {}}],
    "access.permissions.gateway_model_definitions": [{"gpt": {}}],
    "access.permissions.gateway_secrets": [{"key": {}}],
    "access.roles": [{"analyst": {}}],
    "scaling.max_replicas": [3, 7],
    "verify.extra_checks": [[ExtraCheck(name="other", path="/other")]],
    "release.pin": ["7"],
    "release.soak_source": ["dev"],
    "backup.retention_days": [9],
    "backup.protect": [False, True],
    "backup.destination": ["/mnt/backups", "s3://other-bucket/backups"],
    "backup.recovery_key": [OTHER_AGE_KEY],
    "backup.schedule": ["30 3 * * *"],
    "backup.drill_schedule": ["30 5 * * 1"],
    "maintain.schedule": ["30 6 * * 1"],
    "verify.schedule": ["30 * * * *"],
    "database.max_connections": [900],
    "policy.levels": [{"tagged": "disabled"}],
    "policy.accept_vulnerabilities": [[next(iter(identifiers()))]],
    "tags": [{"team": "other"}],
    "aws.account": ["210987654321"],
    "aws.region": ["eu-central-1"],
    "aws.permissions_boundary": ["arn:aws:iam::123456789012:policy/other"],
    "aws.registry_secret": [ARN],
    "aws.network.cidr": ["10.44.0.0/16"],
    "aws.network.public_subnets": [["subnet-3", "subnet-4"]],
    "aws.network.private_subnets": [["subnet-5", "subnet-6"]],
    "aws.network.certificate": ["arn:aws:acm:eu-west-1:123456789012:certificate/other"],
    "aws.network.hosted_zone": ["Z0OTHER"],
    "aws.network.allowed_cidrs": [["10.0.0.0/8"]],
    "aws.database.instance_class": ["db.m7g.xlarge"],
    "aws.database.max_storage": [150, 300, 500],
    "aws.database.user": ["other"],
    "aws.database.secret": [ARN],
    "aws.database.security_group": ["sg-0ff"],
    "aws.cache.node_type": ["cache.m7g.large"],
    "aws.cache.secret": [ARN],
    "aws.cache.security_group": ["sg-0fe"],
    "aws.artifacts.key": ["arn:aws:kms:eu-west-1:123456789012:key/other"],
    "eks.cluster.existing": ["other"],
    "eks.cluster.version": ["1.35"],
    "eks.cluster.allowed_cidrs": [["198.51.100.0/24"]],
    "eks.cluster.administrators": [["arn:aws:iam::123456789012:role/other"]],
    "eks.nodes.instance_types": [["m7i.large"]],
    **{
        f"eks.addons.{each}": ["v2.0.0-eksbuild.1"]
        for each in ("vpc_cni", "pod_identity_agent", "kube_proxy", "coredns", "ebs_csi_driver")
    },
    "aws.monitoring.topic": ["arn:aws:sns:eu-west-1:123456789012:other"],
    "aws.monitoring.email": ["other@example.com"],
    "kubernetes.kubeconfig": ["/etc/other"],
    "kubernetes.context": ["other"],
    "kubernetes.namespace": ["other"],
    "kubernetes.secret": ["other-secret"],
    "kubernetes.server.image_pull_secret": ["other-pull"],
    "kubernetes.ingress.class_name": ["other"],
    "kubernetes.ingress.tls_secret": ["other-tls"],
    "kubernetes.ingress.namespace": ["other-ingress"],
    "kubernetes.ingress.annotations": [{"example.com/other": "yes"}],
    "kubernetes.network.clients": [{"example.com/other": "yes"}],
    "kubernetes.network.published_to": [["other"]],
    "kubernetes.network.published_logins": [{"other": "ada"}],
    "kubernetes.database.image": [DIGEST],
    "kubernetes.database.storage_class": ["other"],
    "kubernetes.database.user": ["other"],
    "kubernetes.database.secret": ["other-database"],
    "kubernetes.database.host_key": ["host"],
    "kubernetes.database.administrator": ["other-admin"],
    "kubernetes.database.ca": ["other-ca"],
    "kubernetes.cache.image": [DIGEST],
    "kubernetes.cache.secret": ["other-cache"],
    "kubernetes.monitoring.namespace": ["other-monitoring"],
    "kubernetes.monitoring.labels": [{"release": "other"}],
    "kubernetes.artifacts.endpoint": ["http://other:9000"],
    "kubernetes.artifacts.region": ["eu-central-1"],
    "kubernetes.artifacts.secret": ["other-keys"],
    "kubernetes.backup.endpoint": ["https://other:9000"],
    "kubernetes.backup.region": ["eu-central-1"],
    "kubernetes.backup.secret": ["other-keys"],
    "gcp.project": ["other-project"],
    "gcp.project_number": ["210987654321"],
    "gcp.region": ["europe-west4"],
    "gcp.network.cidr": ["10.44.0.0/24"],
    "gcp.network.subnet": ["projects/team-project/regions/europe-west1/subnetworks/other"],
    "gcp.service.min_instances": [2],
    "gcp.access.identity": ["iap"],
    "gcp.access.principals": [["group:other@example.com"]],
    "gcp.database.tier": ["db-custom-2-7680"],
    "gcp.database.max_storage": [100],
    "gcp.database.user": ["other"],
    "gcp.database.secret": ["projects/team-project/secrets/other/versions/4"],
    "gcp.database.ca": ["projects/team-project/secrets/other-ca/versions/4"],
    "gcp.cache.secret": ["projects/team-project/secrets/other-cache/versions/4"],
    "gcp.cache.ca": ["projects/team-project/secrets/other-cache-ca/versions/4"],
    "gcp.monitoring.channel": ["projects/team-project/notificationChannels/1"],
    "gcp.monitoring.email": ["other@example.com"],
    "gcp.artifacts.key": ["projects/team-project/locations/europe-west1/keyRings/r/cryptoKeys/other"],
}
"""Other values of the settings for which no other value follows from their type."""


@dataclass(frozen=True)
class Subject:
    """A target under test: settings to begin with, what it refuses, what its server is given, and the identity."""

    name: str
    bases: Callable[[], tuple[Settings, ...]]
    refuse: Callable[[Settings], None]
    given: Callable[[Settings], Any]
    identity: Callable[[Settings], str]
    refused: frozenset[str]
    """The settings of which this target refuses every other value, as long as nothing else is changed."""


STATE, PORTS = StateDir(Path("/stack")), {"front": 5000, "database": 5001, "cache": 5002, "store": 5003}


def _local_server(found: Settings) -> DesiredServer:
    versions = dict.fromkeys(credentials.ALL, "v1")
    lock = f"lock of {found.server.mlflow_version}"
    return desired.server(found, STATE, ports=PORTS, versions=versions, lock=lock, package="package")


def _local_given(found: Settings) -> Any:
    program = _local_server(found).description.listening(port=1, metrics_port=2)
    return found.server.mlflow_version, repr(program)


def _ecs_given(found: Settings) -> Any:
    naming, drawn = ecs.naming_of("staging"), ecs.drawn_of("staging", found)
    place, database, cache = storage.store(found, naming), found.aws.database.secret, found.aws.cache.secret
    for part, address, port in (("database", database_address, 5432), ("cache", cache_address, 6379)):
        adopted = urlsplit(getattr(found, part).existing or f"//{part}.internal:{port}")
        drawn = replace(drawn, **{part: address(found, str(adopted.hostname), adopted.port or port)})
    drawn = replace(
        drawn,
        image=str(found.server.image),
        store=S3Root(bucket=place.bucket, root=place.root, key_arn=place.key_arn or drawn.store.key_arn),
        database_secret=SecretSource(arn=database, key="password") if database else None,
        cache_secret=SecretSource(arn=cache, key="url") if cache else drawn.cache_secret,
    )
    task = ecs.request_of(ecs.tasks_of("staging", settings=found, drawn=drawn)[tasks.SERVER])
    for container in task["containerDefinitions"]:
        container["dockerLabels"].pop(containers.SETTINGS_LABEL)
    return task


def _cloudrun_given(found: Settings) -> Any:
    database, cache = (
        urlsplit(getattr(found, part).existing or f"//{part}.internal:1") for part in ("database", "cache")
    )
    drawn = replace(
        cloudrun.surroundings(found),
        image=str(found.server.image),
        database=str(database.hostname),
        cache=str(cache.hostname),
        cache_port=int(cache.port or 1),
    )
    template = cloud_service.template(found, cloudrun.NAMING, drawn, release="r")
    tag = template["revision"].removeprefix(f"{cloudrun.NAMING.service()}-")
    given = {key: value for key, value in template.items() if key not in {"revision", "scaling"}}
    # Its own address is among the hosts that a revision answers to.
    return json.loads(json.dumps(given).replace(tag, "TAG"))


ROOM = {"scaling": {"maxReplicas": 2}, "server": {"memory": 4096}}
"""Leaves room for MLflow's jobs."""


def _eks_within(found: Settings) -> tuple[Settings, ObjectNaming]:
    naming, objects = of_eks.naming_of(found, project="mlflow-backend", stack=eks.STACK)
    return within(found, naming, objects), objects


def _eks_given(found: Settings) -> Any:
    return _pods(*_eks_within(found))


def _kubernetes_given(found: Settings) -> Any:
    return _pods(found, kubernetes.naming(found))


def _pods(found: Settings, naming: ObjectNaming) -> Any:
    template = workload.template(found, naming, component="server", secrets_version="v1")
    pods = copy.deepcopy(workload.deployment(found, naming, template)["spec"]["template"])
    pods["metadata"]["annotations"].pop(workload.SETTINGS)
    return pods


_ALL = (
    Subject(
        "local",
        lambda: (
            Settings(target="local"),
            Settings.model_validate({"target": "local", "access": {"mode": "token"}}),
            Settings.model_validate({"target": "local", "access": {"mode": "basic"}}),
            Settings.model_validate({"target": "local", "backup": {"destination": "/backups", "recoveryKey": AGE_KEY}}),
        ),
        of_local.refuse_unsupported,
        _local_given,
        lambda found: _local_server(found).identity,
        frozenset(
            {
                "artifacts.existing",
                "artifacts.mode",
                "backup.retention_days",
                "cache.existing",
                "cache.mode",
                "database.existing",
                "database.mode",
                "network.existing",
                "network.mode",
                "network.public_url",
                "release.soak_hours",
                "release.soak_source",
                "scaling.max_replicas",
                "server.cpu",
                "server.image",
                "server.memory",
                "server.replicas",
                "tags",
            }
        ),
    ),
    Subject(
        "ecs",
        lambda: tuple(map(ecs.settings_of, ("staging", "adopted", "token", "jobs", "private-registry"))),
        of_ecs.refuse_unsupported,
        _ecs_given,
        lambda found: tasks.release_identity(found, ecs.naming_of("staging")),
        frozenset(
            {
                "backup.destination",
                "backup.drill_schedule",
                "backup.schedule",
                "maintain.keep_deleted_days",
                "maintain.schedule",
                "verify.schedule",
                "backup.recovery_key",
                "artifacts.mode",
                "cache.mode",
                "database.mode",
                "network.mode",
                "release.soak_source",
                "server.port",
            }
        ),
    ),
    Subject(
        "cloudrun",
        lambda: tuple(
            cloudrun.changed(variant, {}) for variant in ("basic", "adopted", "token", "jobs", "iam", "both")
        ),
        of_cloudrun.refuse_unsupported,
        _cloudrun_given,
        lambda found: cloud_service.release_identity(found, cloudrun.NAMING),
        frozenset(
            {
                "backup.destination",
                "backup.drill_schedule",
                "backup.schedule",
                "maintain.keep_deleted_days",
                "maintain.schedule",
                "verify.schedule",
                "backup.recovery_key",
                "artifacts.mode",
                "cache.mode",
                "database.mode",
                "network.mode",
                "server.port",
                "server.temporary_mib",
                "gcp.access.identity",
                "gcp.access.second_header",
                "gcp.service.min_instances",
                "scaling.max_replicas",
            }
        ),
    ),
    Subject(
        "eks",
        lambda: (*map(eks.settings_of, eks.VARIANTS), eks.settings_of("eks", ROOM)),
        of_eks.refuse_unsupported,
        _eks_given,
        lambda found: workload.identity(*_eks_within(found)),
        frozenset(
            {
                "access.mode",
                "access.requests_per_minute",
                "artifacts.mode",
                "backup.destination",
                "backup.drill_schedule",
                "backup.schedule",
                "backup.recovery_key",
                "aws.architecture",
                "aws.network.access_logs",
                "aws.network.allowed_cidrs",
                "aws.network.certificate",
                "aws.network.hosted_zone",
                "aws.network.internal",
                "aws.network.public_subnets",
                "aws.registry_secret",
                "aws.scaling.cpu_percent",
                "aws.scaling.requests_per_replica",
                "cache.mode",
                "database.mode",
                "eks.cluster.endpoint",
                "kubernetes.artifacts.endpoint",
                "kubernetes.artifacts.region",
                "kubernetes.artifacts.secret",
                "kubernetes.backup.endpoint",
                "kubernetes.backup.region",
                "kubernetes.backup.secret",
                "kubernetes.backup.temporary_mib",
                "kubernetes.cache.secret",
                "kubernetes.context",
                "kubernetes.database.administrator",
                "kubernetes.database.ca",
                "kubernetes.database.host_key",
                "kubernetes.database.rds",
                "kubernetes.database.secret",
                "kubernetes.kubeconfig",
                "kubernetes.network.published_logins",
                "network.mode",
                "release.soak_hours",
                "release.soak_source",
                "server.port",
            }
        ),
    ),
    Subject(
        "kubernetes",
        lambda: tuple(map(kubernetes.settings_of, ("cluster", "adopted", "inside", "prefix", "backed-up"))),
        of_kubernetes.refuse_unsupported,
        _kubernetes_given,
        lambda found: workload.identity(found, kubernetes.naming(found)),
        frozenset(
            {
                "access.mode",
                "access.requests_per_minute",
                "backup.drill_schedule",
                "maintain.keep_deleted_days",
                "maintain.schedule",
                "verify.schedule",
                "artifacts.mode",
                "backup.retention_days",
                "cache.mode",
                "database.mode",
                "kubernetes.database.rds",
                "kubernetes.network.published_logins",
                "network.existing",
                "network.mode",
                "release.soak_hours",
                "release.soak_source",
                "server.port",
            }
        ),
    ),
)

STEADY = ({"tags": {"team": "other"}}, {"server.replicas": 3}, {"scaling.max_replicas": 5})
SUBJECTS = tuple(each for each in _ALL if each.name in targets.MODULES)


def leaves(model: BaseModel, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Give each setting below a section: its path, its type, its value."""
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", field.annotation, value


def others(path: str, annotation: Any, value: Any) -> list[Any]:
    """Return other values of a setting. Raises KeyError for one that has none here."""
    if path in OTHER:
        return [each for each in OTHER[path] if each != value]
    choices = [choice for part in (annotation, *get_args(annotation)) for choice in _literals(part)]
    if choices:
        return [each for each in choices if each != value]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1]
    raise KeyError(path)


def _literals(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def changes(subject: Subject, base: Settings) -> Iterator[tuple[str, list[Any]]]:
    """Give each setting that the target has, and its other values."""
    foreign = {"target", "aws", "kubernetes", "gcp", "eks"} - targets.get(subject.name).platforms
    for path, annotation, value in leaves(base):
        if path.partition(".")[0] not in foreign:
            yield path, others(path, annotation, value)


def changed(base: Settings, values: dict[str, Any]) -> Settings:
    """Return settings with other values at their paths. Raises Refused for what the target cannot fulfil."""
    document = base.model_dump()
    for path, value in values.items():
        *sections, key = path.split(".")
        holder = document
        for section in sections:
            holder = holder[section]
        holder[key] = value.model_dump() if isinstance(value, BaseModel) else value
    found = _written(Settings.model_validate(document), base, values)
    refuse_broken(found)
    next(each for each in SUBJECTS if each.name == found.target).refuse(found)
    return found


def _written(found: Any, base: Any, values: dict[str, Any], path: str = "") -> Any:
    """Return settings in which only those count as written that the base has written, or that were changed."""
    if not isinstance(found, BaseModel):
        return found
    fields = {
        name: _written(getattr(found, name), getattr(base, name), values, f"{path}{name}.")
        for name in type(found).model_fields
    }
    written = set(base.model_fields_set) | {
        name for name in fields if any(each == f"{path}{name}" or each.startswith(f"{path}{name}.") for each in values)
    }
    return type(found).model_construct(_fields_set=written, **fields)


def text(value: Any) -> str:
    """Return a value as a text, to compare types too."""
    return json.dumps(value, sort_keys=True, default=repr)


def fulfilled(base: Settings, values: dict[str, Any]) -> Settings | None:
    """Return the changed settings; None if they break a rule, or the target cannot fulfil them."""
    try:
        return changed(base, values)
    except (Refused, ValueError):
        return None


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda each: each.name)
def test_every_setting_changes_the_identity_if_and_only_if_the_server_is_given_something_else(
    subject: Subject,
) -> None:
    """Each setting alone, from every stack to begin with in which it may be changed."""
    seen: dict[str, bool] = {}
    wrong = []
    for base in subject.bases():
        before, known = text(subject.given(base)), subject.identity(base)
        for path, values in changes(subject, base):
            seen.setdefault(path, False)
            found = next(filter(None, (fulfilled(base, {path: value}) for value in values)), None)
            if found is None:
                continue
            seen[path] = True
            if (text(subject.given(found)) != before) != (subject.identity(found) != known):
                wrong.append(path)
    assert wrong == []
    assert {path for path, tried in seen.items() if not tried} <= subject.refused


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda each: each.name)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_settings_that_are_changed_together_hide_no_change(subject: Subject, data: st.DataObject) -> None:
    """Two stacks have the same identity if and only if their servers are given the same."""
    base = data.draw(st.sampled_from(subject.bases()))
    known = dict(changes(subject, base))
    pair = []
    for _ in range(2):
        changed, found = dict[str, Any](), base
        for path in sorted(data.draw(st.sets(st.sampled_from(sorted(filter(known.get, known))), max_size=4))):
            more = {**changed, path: data.draw(st.sampled_from(known[path]))}
            # What cannot be fulfilled together is left out: most pairs would be filtered otherwise.
            if (together := fulfilled(base, more)) is not None:
                changed, found = more, together
        pair.append(found)
    one, other = pair
    assert (text(subject.given(one)) == text(subject.given(other))) is (
        subject.identity(one) == subject.identity(other)
    )


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda each: each.name)
def test_tags_and_the_number_of_servers_are_no_release(subject: Subject) -> None:
    """More of the same servers, or another label on them, lifts no block."""
    base = subject.bases()[0]
    for values in STEADY:
        found = fulfilled(base, values)
        if found is not None:
            assert subject.identity(found) == subject.identity(base), values
