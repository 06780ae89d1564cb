"""The three forms: nothing that others wrote becomes markup, the loud things come first, and secrets are gone."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from mlflow_backend.ecs.render.service import TASK
from mlflow_backend.ecs.rendered import BILLING
from mlflow_backend.report import document, events, markdown, text
from mlflow_backend.report.build import PreviewInputs, build
from mlflow_backend.report.model import (
    Change,
    Drift,
    Migration,
    Operation,
    Outcome,
    PolicyFinding,
    PolicyResult,
    Preflight,
    Release,
    Report,
    Verdict,
)
from mlflow_backend.report.quantities import Billed, billed
from mlflow_backend.report.redaction import MASK, OWN_WORDS, redactor

if TYPE_CHECKING:
    from collections.abc import Callable

UNHURRIED = settings(deadline=None)
"""How long an example takes is the machine's business."""

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = json.loads((ROOT / "schema" / "preview-1.json").read_text())
NAT = Billed(key="nat-gateway", what="NAT gateway", unit="gateway", per="hour", before=1, after=3)
FULL = Report(
    stack="staging",
    created_at="2026-01-01T00:00:00Z",
    verdict=Verdict.CHANGES,
    counts={"replace": 1, "unchanged": 4},
    changes=(
        Change(
            operation=Operation.REPLACE,
            urn="urn:1",
            type="aws:rds/instance:Instance",
            name="mlflow-database",
            forcing=("dbName",),
            properties=("dbName", "tags"),
            protected=True,
            loses="the database",
        ),
    ),
    before=Release(mlflow_version="3.10.1", revision="7", schema_head="abc"),
    after=Release(mlflow_version="3.17.2", image_digest="sha256:0123456789abcdef"),
    migration=Migration(
        action="migrate",
        schema="at abc",
        pending=("def breaking: more",),
        breaking=True,
        downtime="yes",
        rollback="a restore",
        restore_needed=True,
        upgrade=("known vulnerabilities: left: none; gained: none",),
    ),
    pin="revision 3 is pinned",
    preflight=(Preflight(check="account", outcome="skip", message="not asked.", fix="Log in."),),
    policies=(
        PolicyResult(
            name="tagged",
            level="advisory",
            outcome=Outcome.VIOLATED,
            remediation="Tag it.",
            findings=(PolicyFinding(where="logs", outcome=Outcome.VIOLATED, message="no tags"),),
        ),
        PolicyResult(name="logs-expire", level="mandatory", outcome=Outcome.NOT_EVALUATED, remediation="Set it."),
    ),
    drift=(Drift(name="mlflow-cache", type="t", gone=True), Drift(name="topic", type="t", gone=False)),
    billed=(NAT, replace(NAT, key="alarm", what="Alarm", before=2, after=None)),
    warnings=("mind this",),
)


def terminal(report: Report) -> str:
    """Return the report as a terminal of 200 columns shows it, without colours."""
    stream = io.StringIO()
    text.show(report, Console(file=stream, width=200, highlight=False, emoji=False))
    return stream.getvalue()


SHOWN = pytest.mark.parametrize("form", [terminal, markdown.text])


@SHOWN
@pytest.mark.parametrize(
    "words",
    [
        "mlflow-database will be replaced and holds the database. It is protected",
        "1 to replace, 4 unchanged",
        "from MLflow 3.10.1, revision 7, schema abc",
        "to MLflow 3.17.2, image sha256:0123456789ab",
        "1 pending revision(s), BREAKING",
        "rollback: a restore",
        "revision 3 is pinned",
        "skip",
        "1 violated, 1 not evaluated",
        "nothing was evaluated",
        "mlflow-cache is gone",
        "not known yet",
        "Alarm",
        "mind this",
    ],
)
def test_everything_is_in_both_forms_for_people(form: Callable[[Report], str], words: str) -> None:
    """Terminal and comment say the same."""
    assert words in form(FULL).replace("\\", "")


@SHOWN
def test_what_loses_data_is_said_before_everything_else(form: Callable[[Report], str]) -> None:
    """Only the headline stands before it."""
    lines = [line for line in form(FULL).splitlines() if line.strip() and not line.startswith("<!--")]
    assert "Preview of" in lines[0]
    assert "mlflow-database will be replaced" in lines[1].replace("\\", "")


@UNHURRIED
@given(st.text(max_size=60))
def test_no_message_becomes_markdown(words: str) -> None:
    """No mention, no tag, no table cell and no line of its own: everything special is escaped."""
    shown = markdown.escaped(words)
    assert "\n" not in shown
    assert "@" not in shown.replace("@\u200b", "")
    bare = shown.replace("\\\\", "")
    assert not any(mark in bare.replace(f"\\{mark}", "") for mark in "<>|`[")


@pytest.mark.parametrize("before", ["", " ", "(", "x", "_", "~", "\\", "*"])
@pytest.mark.parametrize("after", ["", ")", " more"])
@pytest.mark.parametrize(
    "linked",
    [
        "https://evil.example/login",
        "HTTP://EVIL.EXAMPLE",
        "ftp://evil.example",
        "www.evil.example",
        "WWW.evil.example",
        "somebody@evil.example",
        "@team/owners",
        "#12",
        "other/repository#12",
        "GH-12",
        "gh-12",
    ],
)
def test_no_message_becomes_a_link(before: str, linked: str, after: str) -> None:
    """GitHub links addresses, mentions and references that no escaping of Markdown touches."""
    shown = markdown.escaped(before + linked + after)
    assert not re.search(r"://|(?<![a-z0-9])www\.|@\w|#\d|(?<![a-z0-9])gh-\d", shown, re.IGNORECASE)


@UNHURRIED
@given(st.text(max_size=60))
def test_no_message_becomes_markup_of_the_terminal(words: str) -> None:
    """Rich's own markup in a message is shown, not obeyed, and is never an error."""
    message = f"[bold]{words}[/nonsense]"
    shown = terminal(replace(FULL, warnings=(message,)))
    assert _visible(message) in _visible(shown)


def _visible(shown: str) -> str:
    """What a terminal leaves of a text wherever it breaks lines: no white space, no control characters."""
    return "".join(each for each in shown if each.isprintable() and not each.isspace())


@SHOWN
def test_a_quantity_is_shown_before_and_after_with_its_unit(form: Callable[[Report], str]) -> None:
    """One that is not known yet says so, and is no zero."""
    lines = [re.sub(r"[|\s]+", " ", line).strip() for line in form(FULL).splitlines()]
    assert "NAT gateway 1 3 gateway, by the hour" in lines
    assert "Alarm 2 not known yet gateway, by the hour" in lines


@pytest.mark.parametrize(
    "name", ["local-first", "local-unchanged", "local-upgrade", "local-downgrade", "local-refreshed"]
)
def test_every_recorded_report_keeps_to_the_schema(name: str) -> None:
    """The JSON's schema is versioned: what a tool reads today it reads tomorrow."""
    stream = events.read((Path(__file__).parent / "streams" / f"{name}.jsonl").read_text().splitlines())
    report = build(stream, PreviewInputs(stack="local", created_at="2026-01-01T00:00:00Z", code=0, refreshed=True))
    jsonschema.validate(json.loads(document.text(report, exit_code=0)), SCHEMA)


def test_a_full_report_keeps_to_the_schema() -> None:
    """Every part that a report can have."""
    jsonschema.validate(json.loads(document.text(FULL, exit_code=6)), SCHEMA)


SECRETS = st.text(min_size=6, max_size=30).filter(lambda text: text.strip() == text and text not in OWN_WORDS)


@UNHURRIED
@given(SECRETS, st.text(max_size=20), st.text(max_size=20))
def test_a_secret_is_gone_wherever_it_stands(secret: str, before: str, after: str) -> None:
    """In a list, a mapping, a key or a dataclass, whatever stands around it."""
    clean = redactor(settings=[json.dumps({"a": [secret]})], environment={})
    found: Any = clean.value({secret: [replace(FULL, pin=before + secret + after)]})
    assert secret not in str(list(found)).replace(MASK, "")
    assert secret not in found[next(iter(found))][0].pin.replace(MASK, "")


def test_words_that_anything_may_hold_are_left() -> None:
    """`true`, a port and a short word are no secrets, or nothing could be read any more."""
    clean = redactor(settings=[json.dumps({"a": True, "b": 5432, "c": "local"})], environment={"HOME": "/home/someone"})
    assert clean.text("local true 5432 /home/someone") == "local true 5432 /home/someone"


def test_a_secret_section_takes_none_of_the_reports_own_words() -> None:
    """`network: {mode: create}` set with --secret would leave `99 to [secret]`, and JSON that breaks its schema."""
    clean = redactor(settings=[json.dumps({"mode": "create", "password": "created-by-me"})], environment={})
    report = clean.value(replace(FULL, counts={"create": 99}, pin="created-by-me"))
    assert (report.counts, report.pin) == ({"create": 99}, MASK)


def step(op: str, token: str, *, old: Any = None, new: Any = None, name: str = "x") -> events.Step:
    """Return a step from inputs to inputs."""
    states = [None if inputs is None else events.State(inputs=inputs) for inputs in (old, new)]
    return events.Step(op=op, urn=f"u::{name}", type=token, old=states[0], new=states[1])


def test_quantities_are_counted_before_and_after() -> None:
    """A standby costs as much again, tasks are CPU units over 1024 times their number, a deletion ends at none."""
    service, task = "aws:ecs/service:Service", "aws:ecs/taskDefinition:TaskDefinition"
    steps = [
        step("delete", "aws:ec2/natGateway:NatGateway", old={}),
        step("update", "aws:rds/instance:Instance",
             old={"instanceClass": "db.t4g.micro", "allocatedStorage": 20},
             new={"instanceClass": "db.m7g.large", "allocatedStorage": 100, "multiAz": True}),
        step("create", service, new={"desiredCount": 2, "networkConfiguration": {"assignPublicIp": True}}),
        step("create", task, new={"cpu": "2048", "memory": "4096"}, name="mlflow-service-server"),
        step("replace", task, old={"cpu": "512"}, new={"cpu": "512"}, name="mlflow-service-database"),
    ]  # fmt: skip
    found = {each.key: (each.before, each.after) for each in billed(steps, BILLING)}
    assert found == {
        "nat-gateway": (1, 0),
        "rds-instance:db.t4g.micro": (1, 0),
        "rds-instance:db.m7g.large": (0, 2),
        "rds-storage:gp3": (20, 200),
        "fargate-vcpu": (0, 4),
        "fargate-memory": (0, 8),
        "public-ipv4": (0, 2),
    }


def test_the_rest_of_what_stands_is_counted() -> None:
    """Caches by node, endpoints by zone, and what is one each; a gateway endpoint costs nothing."""
    endpoint = "aws:ec2/vpcEndpoint:VpcEndpoint"
    steps = [
        step("create", "aws:elasticache/replicationGroup:ReplicationGroup",
             new={"nodeType": "cache.t4g.small", "engine": "valkey", "numCacheClusters": 2}),
        step("create", endpoint, new={"vpcEndpointType": "Interface", "subnetIds": ["a", "b"]}),
        step("create", endpoint, new={"vpcEndpointType": "Gateway"}),
        step("create", "aws:kms/key:Key", new={}),
        step("create", "aws:rds/instance:Instance", new={"instanceClass": events.UNKNOWN, "allocatedStorage": "x"}),
    ]  # fmt: skip
    assert {each.key: each.after for each in billed(steps, BILLING)} == {
        "cache-node:valkey:cache.t4g.small": 2,
        "vpc-endpoint": 2,
        "kms-key": 1,
        "rds-instance:not known yet": 1,
        "rds-storage:gp3": None,
    }


def test_a_task_that_is_not_known_yet_is_taken_from_what_is_rendered() -> None:
    """At a first preview the engine does not know its size; without a rendered one it stays unknown, never nothing."""
    steps = [
        step("create", "aws:ecs/service:Service", new={"desiredCount": 1}),
        step("create", "aws:ecs/taskDefinition:TaskDefinition", new={"cpu": events.UNKNOWN}, name="mlflow-server"),
    ]
    assert {each.key: each.after for each in billed(steps, BILLING)} == {"fargate-vcpu": None, "fargate-memory": None}
    rendered = {each.key: each.after for each in billed(steps, BILLING, rendered={TASK: {"cpu": 1024, "memory": 2048}})}
    assert rendered == {"fargate-vcpu": 1, "fargate-memory": 2}
