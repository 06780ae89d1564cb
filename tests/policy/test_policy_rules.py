"""The rules by themselves: what each finds, what it leaves alone, and that the pack, its page and its names agree."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, get_args

import pulumi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_backend import tokens
from mlflow_backend.aws.render.network import tasks_call_balancer
from mlflow_backend.aws.render.roles import Role
from mlflow_backend.ecs.render import roles
from mlflow_backend.ecs.rendered import render
from mlflow_backend.policy import containers, iam, network, pack, rendered, stores, workloads
from mlflow_backend.policy.catalogue import POLICIES
from mlflow_backend.policy.model import UNKNOWN, NotKnown, Resource, known
from mlflow_backend.report.model import Outcome
from mlflow_backend.settings import PolicyName
from tests.components.ecs.recording import record
from tests.components.ecs.stacks import IMAGE, VARIANTS, settings_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.components.registrations import Registered

# The AWS SDK warns about its own classes while it imports them.
pytestmark = pytest.mark.filterwarnings(r"ignore:.* has been deprecated in favor of:DeprecationWarning")

UNHURRIED = settings(deadline=None)
"""How long an example takes is the machine's business."""

DIGEST = f"registry.example.com/mlflow@sha256:{'a' * 64}"


def test_settings_know_each_policy_by_its_name() -> None:
    """A level for a policy that is not there would be obeyed by nobody."""
    assert sorted(get_args(PolicyName)) == sorted(each.name for each in POLICIES)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_a_policy_says_what_why_and_how_to_mend(policy: Any) -> None:
    """Each policy has exactly one rule."""
    assert all(text.endswith(".") for text in (policy.what, policy.why, policy.remediation))
    assert (policy.evaluate is None) != (policy.evaluate_stack is None)


def test_a_local_stack_has_nothing_to_judge() -> None:
    """An update of the target local runs without the pack (scripts/up.py): every policy is about AWS alone."""
    assert all(each.startswith("aws:") for policy in POLICIES for each in policy.types)
    # Those that name no type ask for this.
    assert not pack.taggable("pulumi-python:dynamic/mlflow-backend:Database")


def said(policy: str, *resources: Resource) -> list[str]:
    """Return what a policy says of resources."""
    (found,) = (each for each in POLICIES if each.name == policy)
    if found.evaluate is not None:
        return [each for resource in resources for each in found.evaluate(resource)]
    assert found.evaluate_stack is not None
    return [each.message for each in found.evaluate_stack(resources)]


def grant(**statement: Any) -> dict[str, Any]:
    """Return a document of one statement."""
    return {"Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*", **statement}}


@pytest.mark.parametrize(
    ("statement", "key", "found"),
    [
        ({}, False, []),
        ({"Action": "*"}, False, ["statement 0 allows the actions *"]),
        ({"Action": ["s3:GetObject", "s3:Put*"]}, False, ["statement 0 allows the actions s3:Put*"]),
        ({"Sid": "All", "Resource": "*"}, False, ["statement All allows s3:GetObject on any resource"]),
        (
            {"Resource": ["arn:aws:s3:::b", "arn:aws:s3:::*"]},
            False,
            ["statement 0 allows s3:GetObject on any resource"],
        ),
        ({"Action": "ecr:GetAuthorizationToken", "Resource": "*"}, False, []),
        ({"NotAction": "iam:*"}, False, ["statement 0 allows every action but some"]),
        ({"NotResource": "arn:aws:s3:::b"}, False, ["statement 0 allows every resource but some"]),
        ({"Effect": "Deny", "Action": "*", "Resource": "*"}, False, []),
        (
            {"Action": "iam:PassRole", "Resource": "arn:aws:iam::123456789012:role/*"},
            False,
            ["statement 0 allows iam:PassRole on any resource"],
        ),
        (
            {"Action": "logs:PutLogEvents", "Resource": "arn:aws:logs:eu-west-1:123456789012:log-group:*"},
            False,
            ["statement 0 allows logs:PutLogEvents on any resource"],
        ),
        ({"Action": "sns:Publish", "Resource": "arn:aws:sns:eu-west-1:123456789012:alarms"}, False, []),
        ({"Resource": "arn:aws:logs:eu-west-1:123456789012:log-group:g:log-stream:*"}, False, []),
        ({"Action": "kms:*", "Resource": "*", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}}, True, []),
        (
            {"Action": "kms:*", "Resource": "*", "Principal": {"AWS": "arn:aws:iam::123456789012:role/x"}},
            True,
            ["statement 0 allows the actions kms:*"],
        ),
        ({"Action": "kms:*", "Resource": "*", "Principal": "*"}, True, ["statement 0 allows the actions kms:*"]),
        ({"Action": ["kms:ReEncrypt*", "kms:GenerateDataKey*"], "Resource": "arn:aws:kms:r:1:key/k"}, False, []),
    ],
)
def test_wildcards_in_iam_documents(statement: Mapping[str, Any], *, key: bool, found: list[str]) -> None:
    """Each form in which a grant can say 'everything'."""
    assert list(iam.wildcards(grant(**statement), key=key)) == found


_KEYS = ["Statement", "Effect", "Action", "Resource", "Principal", "Condition", "Bool", "aws:SecureTransport"]
_ANYTHING = st.recursive(
    st.none() | st.sampled_from(["Allow", "Deny", "*", "s3:*"]) | st.booleans(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(_KEYS), inner),
    max_leaves=12,
)


@UNHURRIED
@given(_ANYTHING)
def test_no_document_makes_a_rule_fail(document: Any) -> None:
    """A document of any shape is judged, not stumbled over: a rule that raises would be no judgement at all."""
    list(iam.wildcards(document))
    list(iam.public(document))
    assert iam.refuses_plain_http(document) in {True, False}


def test_public_bucket_policies() -> None:
    """Everybody without a condition is public; with one that names who, not."""
    assert list(iam.public(grant(Principal="*"))) == ["statement 0 lets anybody in"]
    assert list(iam.public(grant(Principal={"AWS": ["*"]}))) == ["statement 0 lets anybody in"]
    assert list(iam.public(grant(Principal="*", Condition={"ArnLike": {"aws:SourceArn": "x"}}))) == []
    assert list(iam.public(grant(Principal={"Service": "x.amazonaws.com"}))) == []


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ({"StringEquals": {"aws:SourceVpce": "vpce-1"}}, True),
        ({"StringEquals": {"AWS:PrincipalOrgID": ["o-1"]}}, True),
        ({"Bool": {"aws:SecureTransport": "true"}}, False),
        ({"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}, False),
        ({"ArnLike": {"aws:SourceArn": "*"}}, False),
        ({"IpAddress": {"aws:SourceIp": ["203.0.113.7/32", "0.0.0.0/0"]}}, False),
    ],
)
def test_only_a_condition_that_names_who_closes_a_bucket(condition: dict[str, Any], *, names: bool) -> None:
    """Anybody can ask over TLS, and whoever is not excluded is admitted."""
    assert list(iam.public(grant(Principal="*", Condition=condition))) == (
        [] if names else ["statement 0 lets anybody in"]
    )
    everybody_but = {**grant()["Statement"], "NotPrincipal": {"AWS": "123456789012"}}
    assert list(iam.public({"Statement": everybody_but})) == ["statement 0 lets anybody in"]


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ({"name": "MLFLOW_TRACKING_URI", "value": "http://x"}, 0),
        ({"name": "PGPASSWORD", "value": "x"}, 1),
        ({"name": "PGPASSWORD", "value": ""}, 0),
        ({"name": "PGPASSWORD_FILE", "value": "/run/x"}, 0),
        ({"name": "AWS_SECRET_ACCESS_KEY", "value": "x"}, 1),
        ({"name": "STORE", "value": "postgresql://me:pw@host/db"}, 1),
        ({"name": "STORE", "value": "postgresql://me@host/db"}, 0),
        ({"name": "ID", "value": "AKIA" + "A" * 16}, 1),
        ({"name": "PEM", "value": "-----BEGIN RSA PRIVATE KEY-----"}, 1),
        ({"name": "KEYBOARD", "value": "qwerty"}, 0),
        ({"name": "API_KEY_REQUESTS_PER_MINUTE", "value": "600"}, 0),
    ],
)
def test_secrets_in_the_plain_environment(entry: dict[str, str], found: int) -> None:
    """Names and values are looked at; the message has the name only."""
    told = list(containers.plain_secrets([{"name": "server", "environment": [entry]}]))
    assert len(told) == found
    assert not any(entry["value"] in each for each in told if entry["value"] != "x")


def test_secrets_in_the_command() -> None:
    """An argument is as public as the environment."""
    definition = {"name": "server", "command": ["--store", "redis://:pw@cache:6379"]}
    assert list(containers.plain_secrets([definition])) == ["container server has a URL with a password in its command"]


def test_images_by_tag_and_by_digest() -> None:
    """A digest that is cut off is none."""
    images = [DIGEST, DIGEST[:-1], "mlflow:latest", ""]
    found = list(containers.without_digest([{"name": str(n), "image": image} for n, image in enumerate(images)]))
    assert [each.split()[1] for each in found] == ["1", "2", "3"]


LOOK = Resource(
    type=tokens.PREFLIGHT,
    name="look",
    inputs={"platform": "linux/amd64", "findings": [{"check": "image platform", "outcome": "pass"}]},
)


ARN = "arn:aws:iam::aws:policy/AdministratorAccess"
SWITCH_OFF = {"blockPublicAcls": True, "blockPublicPolicy": True, "ignorePublicAcls": True}


@pytest.mark.parametrize(
    ("policy", "kind", "inputs", "found"),
    [
        ("database-private", stores.DATABASE, {"publiclyAccessible": True}, ["it is publicly accessible"]),
        ("database-private", stores.DATABASE, {}, []),
        ("bucket-private", stores.BUCKET_ACL, {"acl": "public-read"}, ["its access control list lets everybody in"]),
        ("bucket-private", stores.BUCKET_ACL, {"acl": "private"}, []),
        (
            "bucket-private",
            stores.BUCKET_ACL,
            {
                "accessControlPolicy": {
                    "grants": [{"grantee": {"uri": "http://acs.amazonaws.com/groups/global/AllUsers"}}]
                }
            },
            ["its access control list lets everybody in"],
        ),
        ("bucket-private", stores.BUCKET_CLOSED, SWITCH_OFF, ["restrictPublicBuckets is not on"]),
        ("encrypted-at-rest", stores.DATABASE, {"storageEncrypted": True}, []),
        ("encrypted-at-rest", stores.CACHE, {}, ["its disks and snapshots are not encrypted"]),
        ("encrypted-at-rest", stores.TOPIC, {}, ["its messages are not encrypted"]),
        ("encrypted-at-rest", stores.TOPIC, {"kmsMasterKeyId": UNKNOWN}, []),
        ("encrypted-in-transit", stores.CACHE, {}, ["it is spoken to without TLS"]),
        ("encrypted-in-transit", stores.DATABASE, {}, ["no parameter group of it sets rds.force_ssl to 1"]),
        ("encrypted-in-transit", stores.BUCKET_POLICY, {"policy": "{}"}, ["it does not deny plain HTTP"]),
        ("backups-kept", stores.DATABASE, {"backupRetentionPeriod": 0}, ["it has no automatic backups"]),
        ("backups-kept", stores.DATABASE, {"backupRetentionPeriod": 1}, []),
        ("backups-kept", stores.BUCKET, {}, ["it keeps no older versions of its objects"]),
        (
            "backups-kept",
            stores.BUCKET_VERSIONS,
            {"versioningConfiguration": {"status": "Suspended"}},
            ["it keeps no older versions of its objects"],
        ),
        (
            "deletion-protected",
            stores.DATABASE,
            {"skipFinalSnapshot": True},
            ["it may be deleted by one call", "it leaves no snapshot when it is deleted"],
        ),
        ("logs-expire", workloads.LOG_GROUP, {"retentionInDays": 0}, ["its logs are kept for ever"]),
        ("logs-expire", workloads.LOG_GROUP, {"retentionInDays": 7}, []),
        ("listener-tls", network.LISTENER, {"protocol": "HTTP", "defaultActions": [{"type": "redirect"}]}, []),
        ("listener-tls", network.LISTENER, {"protocol": "TLS", "defaultActions": UNKNOWN}, []),
        (
            "listener-tls",
            network.LISTENER,
            {"protocol": "TCP_UDP", "defaultActions": [{"type": "forward"}]},
            ["it forwards requests that came without TLS"],
        ),
        (
            "iam-without-wildcards",
            workloads.ATTACHMENT,
            {"policyArn": ARN},
            ["it attaches a policy that allows everything, or everything of a service"],
        ),
        (
            "iam-without-wildcards",
            workloads.ROLE,
            {"managedPolicyArns": [ARN], "inlinePolicies": [{"policy": json.dumps(grant(Action="*"))}]},
            [
                "statement 0 allows the actions *",
                "it has a policy that allows everything, or everything of a service",
            ],
        ),
        ("tagged", "aws:ecs/cluster:Cluster", {"tags": {"stack": "x"}}, ["it lacks the tags project, managed-by"]),
        ("ingress-closed", network.OLD_RULE, {"type": "egress", "cidrBlocks": ["0.0.0.0/0"]}, []),
        (
            "ingress-closed",
            network.OLD_RULE,
            {"type": "ingress", "cidrBlocks": ["0.0.0.0/0"], "fromPort": 443, "toPort": 443},
            ["anybody may call port 443 of what is no balancer"],
        ),
        (
            "ingress-closed",
            network.GROUP,
            {"ingress": [{"ipv6CidrBlocks": ["::/0"], "fromPort": 1, "toPort": 9}]},
            ["anybody may call ports 1 to 9 of what is no balancer"],
        ),
        ("no-plain-secrets", workloads.TASK, {"containerDefinitions": "[]"}, []),
        (
            "images-by-digest",
            workloads.TASK,
            {"containerDefinitions": json.dumps([{"name": "s", "image": "i:1"}])},
            ["container s names its image without a digest"],
        ),
    ],
)
def test_each_rule_by_itself(policy: str, kind: str, inputs: dict[str, Any], found: list[str]) -> None:
    """What each asks for, of one resource."""
    assert said(policy, Resource(type=kind, name="x", urn="urn:x", inputs=inputs)) == found


@pytest.mark.parametrize(
    ("block", "open_"), [("10.0.0.0/8", False), ("203.0.114.0/24", True), ("2001:db8::/32", False)]
)
def test_a_cache_is_reached_from_private_addresses_only(block: str, *, open_: bool) -> None:
    """Of its own security groups; another group's rules are not its."""
    cache = Resource(type=stores.CACHE, name="c", needs={"securityGroupIds": frozenset({"urn:g"})})
    key = "cidrIpv6" if ":" in block else "cidrIpv4"
    for group, expected in (("urn:g", open_), ("urn:other", False)):
        needs = {"securityGroupId": frozenset({group})}
        rule = Resource(type=network.INGRESS, name="r", inputs={key: block}, needs=needs)
        assert bool(said("cache-private", cache, rule)) is expected


def test_a_cache_is_reached_by_an_older_kind_of_rule_too() -> None:
    """A rule that is written into the group, or beside it, admits just as much."""
    cache = Resource(type=stores.CACHE, name="c", needs={"securityGroupIds": frozenset({"urn:g"})})
    entry = {"cidrBlocks": ["10.0.0.0/8", "203.0.114.0/24"]}
    inline = Resource(type=network.GROUP, name="g", urn="urn:g", inputs={"ingress": [entry]})
    beside = Resource(
        type=network.OLD_RULE,
        name="r",
        inputs={"type": "ingress", **entry},
        needs={"securityGroupId": frozenset({"urn:g"})},
    )
    for rule in (inline, beside):
        assert said("cache-private", cache, rule) == ["addresses outside the network may reach the cache"]


@pytest.mark.parametrize(
    ("policy", "kind", "inputs"),
    [
        ("ingress-closed", network.INGRESS, {"cidrIpv4": UNKNOWN, "fromPort": 22, "toPort": 22}),
        ("ingress-closed", network.INGRESS, {"cidrIpv4": "0.0.0.0/0", "fromPort": UNKNOWN, "toPort": UNKNOWN}),
        ("ingress-closed", network.OLD_RULE, {"type": "ingress", "cidrBlocks": ["10.0.0.0/8", UNKNOWN]}),
        ("ingress-closed", network.GROUP, {"ingress": UNKNOWN}),
        ("ingress-closed", network.GROUP, {"ingress": [UNKNOWN]}),
        ("listener-tls", network.LISTENER, {"protocol": "HTTP", "defaultActions": UNKNOWN}),
        ("listener-tls", network.LISTENER, {"protocol": UNKNOWN, "defaultActions": [{"type": "forward"}]}),
        ("bucket-private", stores.BUCKET_ACL, {"accessControlPolicy": UNKNOWN}),
        ("iam-without-wildcards", workloads.ROLE, {"inlinePolicies": [{"policy": UNKNOWN}]}),
    ],
)
def test_what_is_not_known_is_not_evaluated(policy: str, kind: str, inputs: dict[str, Any]) -> None:
    """An address block that is drawn by the update may be anybody's: that is no pass, and no violation."""
    needs = dict.fromkeys(inputs, frozenset({"urn:drawn"}))
    with pytest.raises(NotKnown):
        said(policy, Resource(type=kind, name="x", urn="urn:x", inputs=inputs, needs=needs))


@pytest.mark.parametrize(
    ("policy", "kind", "key"),
    [("ingress-closed", network.GROUP, "ingress"), ("bucket-private", stores.BUCKET_ACL, "accessControlPolicy")],
)
def test_what_the_provider_draws_by_itself_is_not_the_programs(policy: str, kind: str, key: str) -> None:
    """A group without rules in it has none at a first preview either, though its provider cannot say so yet."""
    assert said(policy, Resource(type=kind, name="x", urn="urn:x", inputs={key: UNKNOWN})) == []


def test_what_is_protected_and_what_is_a_bucket_of_logs() -> None:
    """A bucket that a balancer logs to holds nothing that cannot be lost."""
    logs = Resource(type=stores.BUCKET, name="logs", urn="urn:logs")
    data = Resource(type=stores.BUCKET, name="data", urn="urn:data")
    balancer = Resource(type=stores.BALANCER, name="lb", needs={"accessLogs": frozenset({"urn:logs"})})
    assert len(said("stateful-protected", logs, data, balancer)) == 1
    kept = Resource(type=stores.BUCKET, name="data", urn="urn:data", protect=True)
    assert said("stateful-protected", logs, kept, balancer) == []


def _task(architecture: str) -> Resource:
    return Resource(type=workloads.TASK, name="t", inputs={"runtimePlatform": {"cpuArchitecture": architecture}})


def test_the_image_was_seen_to_run_on_the_tasks_architecture() -> None:
    """An image that failed or was looked at for another platform violates; a look that was skipped is no pass."""
    failed = Resource(
        type=tokens.PREFLIGHT,
        name="look",
        inputs={"platform": "linux/amd64", "findings": [{"check": "image platform", "outcome": "fail"}]},
    )
    skipped = Resource(type=tokens.PREFLIGHT, name="look", inputs={"platform": "linux/amd64", "findings": []})
    assert said("image-architecture", _task("X86_64"), LOOK) == []
    assert said("image-architecture", _task("ARM64"), LOOK) == [
        "nothing has looked whether the image runs on linux/arm64"
    ]
    assert said("image-architecture", _task("X86_64"), failed) == ["the image was not found to run on linux/amd64"]
    with pytest.raises(NotKnown):
        said("image-architecture", _task("X86_64"), skipped)


def test_what_is_unknown_of_one_hides_nothing_of_the_next() -> None:
    """The violation is told, and then that something was not known."""
    stack = [
        Resource(type=stores.DATABASE, name="a", urn="a", inputs={"storageEncrypted": UNKNOWN}),
        Resource(type=stores.DATABASE, name="b", urn="b", inputs={"storageEncrypted": False}),
    ]
    assert stores.encrypted_at_rest.evaluate_stack is not None
    rule = stores.encrypted_at_rest.evaluate_stack(stack)
    assert next(rule).urn == "b"
    with pytest.raises(NotKnown, match=r"a\.storageEncrypted"):
        next(rule)


def test_a_bucket_is_covered_by_name_or_by_reference() -> None:
    """Both ways in which Pulumi programs attach a bucket's settings."""
    bucket = Resource(type=stores.BUCKET, name="b", urn="urn:b", inputs={"bucket": "data"})
    switches = dict.fromkeys(
        ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True
    )
    by_name = Resource(type=stores.BUCKET_CLOSED, name="c", inputs={"bucket": "data", **switches})
    by_reference = Resource(
        type=stores.BUCKET_CLOSED,
        name="c",
        inputs={"bucket": UNKNOWN, **switches},
        needs={"bucket": frozenset({"urn:b"})},
    )
    other = Resource(type=stores.BUCKET_CLOSED, name="c", inputs={"bucket": "other", **switches})
    assert said("bucket-private", bucket, by_name) == said("bucket-private", bucket, by_reference) == []
    assert said("bucket-private", bucket, other) == ["nothing closes it to the public"]


@pytest.mark.parametrize(
    ("first", "last", "block", "open_"),
    [
        (443, 443, "0.0.0.0/0", False),
        (80, 80, "::/0", False),
        (80, 443, "0.0.0.0/0", True),
        (22, 22, "0.0.0.0/0", True),
        (None, None, "0.0.0.0/0", True),
        (22, 22, "10.0.0.0/8", False),
    ],
)
def test_a_balancer_may_be_called_on_its_ports_only(first: int, last: int, block: str, *, open_: bool) -> None:
    """A range over both ports is not both ports."""
    balancer = Resource(type=stores.BALANCER, name="lb", needs={"securityGroups": frozenset({"urn:g"})})
    rule = Resource(
        type=network.INGRESS,
        name="r",
        inputs={"cidrIpv6" if ":" in block else "cidrIpv4": block, "fromPort": first, "toPort": last},
        needs={"securityGroupId": frozenset({"urn:g"})},
    )
    assert bool(said("ingress-closed", balancer, rule)) is open_


def _resource(each: Registered) -> Resource:
    """Return what a policy would see of a registered resource."""
    # The recorder leaves out what is not known; what it is made of is there.
    unknown = {key: UNKNOWN for key, urns in each.property_needs.items() if urns and key not in each.inputs}
    inputs = {**unknown, **{key: _marked(value) for key, value in each.inputs.items() if not key.startswith("__")}}
    return Resource(
        type=each.type,
        name=each.name,
        urn=each.urn,
        inputs=inputs,
        needs=each.property_needs,
        protect=each.protect,
        default_tags=dict.fromkeys(workloads.REQUIRED_TAGS, "x"),
    )


def _marked(value: Any) -> Any:
    """Return a value with what is unknown (None, or Pulumi's own in a preview) marked as the policies mark it."""
    if isinstance(value, dict):
        return {key: _marked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_marked(item) for item in value]
    return UNKNOWN if value is None or isinstance(value, pulumi.output.Unknown) else value


PLAIN_HTTP = [("mlflow-balancer-http", "it forwards requests that came without TLS")]
# Adopted network, no certificate: an internal balancer that speaks plain HTTP. Such a stack sets the level.
EXPECTED = {("adopted", "listener-tls"): PLAIN_HTTP, ("dev", "listener-tls"): PLAIN_HTTP}
DESTROYABLE = ("deletion-protected", "stateful-protected")


@pytest.mark.parametrize(
    ("variant", "preview"), [*((name, False) for name in VARIANTS), ("dev", True), ("staging", True), ("adopted", True)]
)
def test_the_targets_own_backends_keep_the_policies(variant: str, *, preview: bool) -> None:
    """What components/mlflow_backend/ecs registers keeps every policy, also while AWS has drawn nothing yet.

    Known but for what the mocks leave out: that preflight has looked.
    """
    resources = [_resource(each) for each in record(variant, preview=preview)]
    for policy in POLICIES:
        if variant == "dev" and policy.name in DESTROYABLE:
            continue
        found, unknown = _judged(policy, resources)
        if policy.name == "image-architecture":
            continue
        assert found == EXPECTED.get((variant, policy.name), []), policy.name
        assert preview or not unknown, (policy.name, unknown)


def test_dev_violates_only_what_its_settings_choose_to_bear() -> None:
    """The levels in Pulumi.dev.yaml are those that it needs, and no more."""
    resources = [_resource(each) for each in record("dev")]
    violated = {policy.name for policy in POLICIES if _judged(policy, resources)[0]} - {"image-architecture"}
    chosen = settings_of("dev").policy.levels
    assert violated == set(chosen)
    assert "mandatory" not in chosen.values()


def _judged(policy: Any, resources: list[Resource]) -> tuple[list[tuple[str, str]], str]:
    """Return what a policy finds, by name, and what it did not know."""
    names = {each.urn: each.name for each in resources}
    found: list[tuple[str, str]] = []
    unknown = ""
    if policy.evaluate_stack is not None:
        try:
            found += [(names[each.urn], each.message) for each in policy.evaluate_stack(resources)]
        except NotKnown as gap:
            unknown = gap.path
        return found, unknown
    for each in resources:
        if each.type in policy.types:
            try:
                found += [(each.name, told) for told in policy.evaluate(each)]
            except NotKnown as gap:
                unknown = gap.path
    return found, unknown


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_rendered_keeps_the_policies(variant: str) -> None:
    """Container definitions and IAM documents of every variant, from the settings alone, as at a first preview."""
    parts = render(settings_of(variant), project="mlflow-backend", stack=variant, image=IMAGE)
    found = rendered.evaluate(parts)
    assert {each.outcome for each in found} == {Outcome.PASSED}
    assert {each.policy for each in found} >= {"iam-without-wildcards", "images-by-digest", "no-plain-secrets"}
    tasks = {each.where.partition(" task")[0] for each in found if each.policy == "no-plain-secrets"}
    settings = settings_of(variant)
    more = {"verify"} if settings.aws.network.internal else set()
    more |= {"backup"} if settings.backup.destination else set()
    more |= {"maintenance"} if tasks_call_balancer(settings) else set()
    assert tasks == {"server", "database"} | more


_ATTACHED: Final = {
    "aws:iam/rolePolicy:RolePolicy": "role",
    "aws:kms/key:Key": "key",
    "aws:sns/topicPolicy:TopicPolicy": "topic",
    "aws:s3/bucketPolicy:BucketPolicy": "bucket",
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_document_that_is_registered_is_rendered_too(variant: str) -> None:
    """One that is registered alone would pass a first preview unjudged."""
    parts = render(settings_of(variant), project="mlflow-backend", stack=variant, image=IMAGE)
    registered = [each for each in record(variant) if each.type in workloads.DOCUMENTED]
    kinds = [next(kind for kind in _ATTACHED.values() if kind in name) for name in parts.documents]
    assert Counter(kinds) == Counter(_ATTACHED[each.type] for each in registered)


def test_a_new_role_is_checked_at_a_first_preview(monkeypatch: pytest.MonkeyPatch) -> None:
    """The roles that are registered are the ones that are judged: both come from one list."""
    known_roles = roles.roles
    loose = {"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}

    def more(*given: Any) -> tuple[Role, ...]:
        return (*known_roles(*given), Role(part="new", given=("key",), document=lambda key: loose | {"Id": key}))

    monkeypatch.setattr(roles, "roles", more)
    registered = {each.urn for each in record("dev") if each.type == "aws:iam/rolePolicy:RolePolicy"}
    assert any(urn.endswith("-new") for urn in registered)
    found = rendered.evaluate(render(settings_of("dev"), project="mlflow-backend", stack="dev", image=IMAGE))
    violated = [each for each in found if each.outcome is Outcome.VIOLATED]
    assert {(each.policy, each.where.partition(",")[0]) for each in violated} == {("iam-without-wildcards", "role new")}


def test_an_image_that_is_not_pinned_yet_is_not_evaluated() -> None:
    """Its digest is preflight's to find; until then the policy is not evaluated, and not passed."""
    parts = render(settings_of("dev"), project="mlflow-backend", stack="dev", image=None)
    found = {each.outcome for each in rendered.evaluate(parts) if each.policy == "images-by-digest"}
    assert found == {Outcome.NOT_EVALUATED}


def test_a_secret_in_an_extra_flag_is_found_before_anything_exists() -> None:
    """The first preview of a stack refuses it, though the engine does not know the definition yet."""
    settings = settings_of("staging")
    leaky = settings.model_copy(
        update={"server": settings.server.model_copy(update={"extra_flags": {"note": "AKIA" + "A" * 16}})}
    )
    found = rendered.evaluate(render(leaky, project="mlflow-backend", stack="staging", image=IMAGE))
    assert [each.policy for each in found if each.outcome is Outcome.VIOLATED] == ["no-plain-secrets"]


_PARTLY_UNKNOWN = st.recursive(
    st.just(UNKNOWN) | st.text(max_size=3),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=8,
)


@UNHURRIED
@given(_PARTLY_UNKNOWN)
def test_nothing_with_an_unknown_part_is_known(value: Any) -> None:
    """Wherever it stands."""
    assert known(value) is ("UNKNOWN" not in repr(value))


def test_ports_are_said_as_they_are() -> None:
    """One, a range, or every one."""
    assert network._ports(22, 22) == "port 22"
    assert network._ports(1, 2) == "ports 1 to 2"
    assert network._ports(-1, -1) == "every port"
