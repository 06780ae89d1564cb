"""From recorded streams of the real engine to the report: what is counted, said first, known and refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlflow_backend import tokens
from mlflow_backend.contract import ExitCode
from mlflow_backend.ending import Ending
from mlflow_backend.offered import restart_database
from mlflow_backend.report import events
from mlflow_backend.report.build import PreviewInputs, build
from mlflow_backend.report.events import Diagnostic
from mlflow_backend.report.model import Operation, Outcome, Report, Verdict
from mlflow_backend.report.policies import EnforcedPolicy, RenderedEvaluation

STREAMS = Path(__file__).parent / "streams"
URN = "urn:pulumi:dev::mlflow-backend"


def recorded(name: str) -> events.Stream:
    """Return a stream that tests/components/report/record.py has recorded."""
    return events.read((STREAMS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines())


def report_of(stream: events.Stream, *, code: int = 0, **changes: Any) -> Report:
    """Build a report."""
    return build(
        stream, PreviewInputs(**{"stack": "dev", "created_at": "2026-01-01T00:00:00Z", "code": code, **changes})
    )


def stream_of(*told: dict[str, Any]) -> events.Stream:
    """Return a stream of given events, and a summary."""
    return events.read(json.dumps(event) for event in (*told, {"summaryEvent": {"result": "succeeded"}}))


def step(op: str, token: str, name: str, *, old: Any = None, new: Any = None, **more: Any) -> dict[str, Any]:
    """Return the event of one planned step."""
    told = {"op": op, "urn": f"{URN}::{token}::{name}", "type": token, "old": old, "new": new, **more}
    return {"resourcePreEvent": {"metadata": told}}


def test_a_first_preview_creates_everything_and_knows_what_is_wanted() -> None:
    """The version comes from the settings' own resource, and what is not known yet is said to be."""
    report = report_of(recorded("local-first"))
    assert report.verdict is Verdict.CHANGES
    assert report.counts == {"create": 13}
    assert report.before is None
    assert report.after is not None
    assert report.after.mlflow_version == "3.10.1"
    assert report.migration is not None
    assert (report.migration.action, report.migration.restore_needed) == ("find out", None)


def test_an_unchanged_stack_is_reported_so() -> None:
    """No change, no migration, and going back needs no restore."""
    report = report_of(recorded("local-unchanged"))
    assert (report.verdict, report.changes) == (Verdict.UNCHANGED, ())
    assert set(report.counts) == {"unchanged"}
    assert report.before == report.after
    assert report.migration is not None
    assert (report.migration.action, report.migration.pending, report.migration.restore_needed) == ("none", (), False)
    assert report.exit_code(detailed=True) is ExitCode.DONE


def test_an_upgrade_shows_its_migration_and_what_going_back_takes() -> None:
    """The revisions, that servers stop and that a rollback needs a restore are told before anything is done."""
    report = report_of(recorded("local-upgrade"))
    found = report.migration
    assert found is not None
    assert (found.action, found.breaking, found.restore_needed, len(found.pending)) == ("migrate", True, True, 18)
    assert found.downtime.startswith("yes: 4 of 18")
    assert report.before is not None
    assert report.after is not None
    assert (report.before.mlflow_version, report.after.mlflow_version) == ("3.10.1", "3.17.2")
    assert report.after.revision is None
    assert report.exit_code(detailed=True) is ExitCode.CHANGES
    assert report.exit_code(detailed=False) is ExitCode.DONE


def test_rows_of_the_tables_that_a_migration_touches_are_in_the_report() -> None:
    """Where the database was asked, whoever reads the preview sees how much there is to migrate."""
    found = report_of(recorded("local-upgrade")).migration
    assert found is not None
    some = {table: count for table, count in found.rows.items() if count}
    assert some == {"experiment_tags": 1, "metrics": 4, "workspaces": 1}


def test_a_warning_that_the_report_has_already_is_not_repeated() -> None:
    """The program warns of a migration and of a pin for those who run `pulumi up`; a preview has a part for each."""
    stream = recorded("local-upgrade")
    plain = report_of(stream)
    assert plain.migration is not None
    said = (
        Diagnostic(severity="warning", urn="", message="Pending:\n" + "\n".join(plain.migration.pending)),
        Diagnostic(severity="warning", urn="", message="The release is withheld: pinned to 1."),
        Diagnostic(severity="warning", urn="", message="Mind this."),
    )
    found = report_of(replace(stream, diagnostics=said), pin="pinned to 1")
    assert (found.warnings, found.pin) == (("Mind this.",), "pinned to 1")
    assert len(report_of(replace(stream, diagnostics=said)).warnings) == 2


def test_a_replacement_is_one_change() -> None:
    """The engine takes three steps for it; people see one, with what forces it."""
    report = report_of(recorded("local-upgrade"))
    replaced = [change for change in report.changes if change.operation is Operation.REPLACE]
    assert [(each.name, each.forcing) for each in replaced] == [("mlflow-verification", ("release", "servingDigest"))]
    assert sum(change.name == "mlflow-verification" for change in report.changes) == 1


def test_what_a_dynamic_provider_does_not_tell_is_compared() -> None:
    """The engine gives no properties for an update of a dynamic resource; the inputs do."""
    report = report_of(recorded("local-upgrade"))
    update = next(change for change in report.changes if change.name == "mlflow-migration")
    assert set(update.properties) == {"mlflowVersion", "plan"}


def test_a_refused_check_is_a_refusal_without_the_value() -> None:
    """What preflight and the migration refuse is exit code 3, and the engine's quote of the value is left out."""
    report = report_of(recorded("local-downgrade"), code=1)
    assert report.verdict is Verdict.REFUSED
    assert report.exit_code(detailed=True) is ExitCode.REFUSED
    assert len(report.refusals) == 1
    assert report.refusals[0].startswith("The database is at 1b5f0d9ad7c1, newer than acf3f17fdcc7")
    assert "value {" not in report.refusals[0]


def test_the_programs_own_refusal_is_reported() -> None:
    """A program that refuses before any resource ends with its sentence, not with Pulumi's traceback."""
    said = Ending(exit_code=ExitCode.REFUSED, sentence="Not that. Do this.")
    report = report_of(events.read([]), code=1, ending=said)
    assert (report.verdict, report.refusals, report.errors) == (Verdict.REFUSED, ("Not that. Do this.",), ())


def test_an_error_is_a_failure_of_the_platform() -> None:
    """Exit code 4, with the error and without colours."""
    told = {"diagnosticEvent": {"severity": "error", "message": "<{%fg 1%}>no credentials<{%reset%}>\n"}}
    report = report_of(stream_of(told), code=255)
    assert (report.verdict, report.errors) == (Verdict.FAILED, ("no credentials",))
    assert report.exit_code(detailed=True) is ExitCode.PLATFORM_FAILED


def test_a_stream_that_was_cut_off_is_no_success() -> None:
    """An engine that was killed has written half a line and no summary."""
    assert report_of(events.read(['{"preludeEvent": {}}', '{"resourcePre'])).verdict is Verdict.FAILED


@pytest.mark.parametrize("op", ["replace", "delete"])
def test_what_loses_data_comes_first(op: str) -> None:
    """A stateful resource that goes is first of all changes, and whether protection stops it is said."""
    state = {"inputs": {}, "outputs": {}, "protect": True}
    told = (
        step("create", "aws:ecs/cluster:Cluster", "a", new=state),
        step("delete", "aws:ecs/cluster:Cluster", "b", old=state),
        step(op, "aws:rds/instance:Instance", "z", old=state, new=state if op == "replace" else None, keys=["port"]),
    )
    report = report_of(stream_of(*told))
    assert [change.name for change in report.changes] == ["z", "b", "a"]
    assert [(change.name, change.protected) for change in report.losses] == [("z", True)]


def test_drift_is_what_differs_or_is_gone() -> None:
    """Only a refresh that found something is drift; without --refresh nothing is claimed."""
    state = {"inputs": {}, "outputs": {"size": 1, "__provider": "x"}}
    told = (
        step("refresh", "aws:ecs/cluster:Cluster", "same", old=state, new=state),
        step("refresh", "aws:ecs/cluster:Cluster", "other", old=state, new={"inputs": {}, "outputs": {"size": 2}}),
        step("refresh", "aws:ecs/cluster:Cluster", "gone", old=state, new=None),
    )
    report = report_of(stream_of(*told), refreshed=True)
    assert report.drift is not None
    assert [(each.name, each.gone, each.properties) for each in report.drift] == [
        ("other", False, ("size",)),
        ("gone", True, ()),
    ]
    assert report_of(stream_of(*told)).drift is None


def test_a_refresh_that_finds_nothing_is_no_drift() -> None:
    """Every resource is read; of a healthy backend none differs."""
    assert report_of(recorded("local-refreshed"), refreshed=True).drift == ()


KNOWN = (
    EnforcedPolicy(name="tagged", level="mandatory", remediation="Tag it."),
    EnforcedPolicy(name="listener-tls", level="advisory", remediation="Use TLS."),
    EnforcedPolicy(name="logs-expire", level="disabled", remediation="Keep less."),
    EnforcedPolicy(name="images-by-digest", level="mandatory", remediation="Pin it."),
)
LOGS = f"{URN}::aws:cloudwatch/logGroup:LogGroup::logs"


def violation(policy: str, message: str, level: str = "mandatory") -> dict[str, Any]:
    """Return the event of a policy that was violated."""
    told = {"policyName": policy, "enforcementLevel": level, "resourceUrn": LOGS, "message": message}
    return {"policyEvent": told}


def test_a_mandatory_violation_refuses_and_an_advisory_one_warns() -> None:
    """The refusal names policy, resource and finding."""
    told = (violation("tagged", "Every resource is tagged.\nit lacks tags"), violation("listener-tls", "TLS.\nplain"))
    report = report_of(stream_of(*told), code=1, policies=KNOWN)
    assert report.refusals == ("Policy tagged: logs: it lacks tags",)
    assert report.verdict is Verdict.REFUSED
    assert [(each.name, each.outcome) for each in report.policies][:2] == [
        ("listener-tls", Outcome.VIOLATED),
        ("tagged", Outcome.VIOLATED),
    ]


def test_an_engine_that_never_began_is_quoted() -> None:
    """It only printed why; the comment on a pull request must not say 'failed' and no more."""
    nothing = events.read([])
    assert report_of(nothing, code=255, printed="error: \x1b[31mno stack\x1b[0m\n").errors == ("error: no stack",)
    assert report_of(nothing, code=255).errors == ()
    assert report_of(nothing, code=0, printed="all is well").errors == ()
    said = stream_of({"diagnosticEvent": {"severity": "error", "message": "told"}})
    assert report_of(said, code=1, printed="a screen full").errors == ("told",)


def test_a_disabled_policy_is_not_in_the_report() -> None:
    """Nobody ran it, so nothing is said of it."""
    report = report_of(stream_of(), policies=KNOWN)
    assert "logs-expire" not in {each.name for each in report.policies}


def test_what_was_not_evaluated_never_counts_as_passed() -> None:
    """Neither if the engine did not know a value, nor if no policy ran at all."""
    cannot = "can't run policy 'images-by-digest' from policy pack 'p@v1' during preview: string value at .a.b can't be known during preview"  # noqa: E501 - the library's sentence
    ran = {"policyAnalyzeSummaryEvent": {"resourceUrn": LOGS, "passed": ["images-by-digest", "tagged"]}}
    report = report_of(stream_of(violation("images-by-digest", cannot, "advisory"), ran), policies=KNOWN)
    found = {each.name: each for each in report.policies}
    assert found["images-by-digest"].outcome is Outcome.NOT_EVALUATED
    assert found["images-by-digest"].findings[0].message == "a.b is not known before the update"
    assert found["tagged"].outcome is Outcome.PASSED
    assert found["listener-tls"].outcome is Outcome.NOT_APPLICABLE
    assert report.refusals == ()
    silent = report_of(stream_of(), policies=KNOWN)
    assert {each.outcome for each in silent.policies} == {Outcome.NOT_EVALUATED}


def test_a_rendered_violation_refuses_like_the_engines() -> None:
    """At a first preview the engine does not know the definitions; what was rendered is judged all the same."""
    said = RenderedEvaluation(
        policy="images-by-digest", where="server task", outcome=Outcome.VIOLATED, message="no digest"
    )
    report = report_of(stream_of(), policies=KNOWN, rendered=[said])
    assert report.refusals == ("Policy images-by-digest: server task: no digest",)


def test_the_pin_in_force_is_reported() -> None:
    """What the hold says is withheld is in the report; without it, what the settings ask for."""
    hold = "pulumi-python:dynamic/mlflow-backend:Hold"
    told = step("same", hold, "hold", new={"inputs": {"withheld": "revision 3 is pinned", "accepted": True}})
    assert report_of(stream_of(told), pin="asked").pin == "revision 3 is pinned"
    assert report_of(stream_of(), pin="asked").pin == "asked"


def test_preflight_shows_what_failed_first_and_what_was_skipped() -> None:
    """Every finding is in the report; a skip is no pass."""
    token = "pulumi-python:dynamic/mlflow-backend:Preflight"
    findings = [
        {"check": "image exists", "outcome": "pass", "property": "server.image", "message": "it is there."},
        {"check": "account", "outcome": "skip", "property": "aws", "message": "not asked.", "fix": "Log in."},
    ]
    told = step("create", token, "preflight", new={"inputs": {"findings": findings, "pinnedImage": "r/i@sha256:ab"}})
    report = report_of(stream_of(told))
    assert [(each.check, each.outcome) for each in report.preflight] == [("account", "skip"), ("image exists", "pass")]
    failed = {
        "diagnosticEvent": {
            "severity": "error",
            "urn": f"{URN}::{token}::preflight",
            "message": "x: property server.image value {i} has a problem: image exists: there is none. Build it.",
        }
    }
    refused = report_of(stream_of(failed), code=1)
    assert [(each.check, each.outcome, each.message) for each in refused.preflight] == [
        ("image exists", "fail", "there is none. Build it.")
    ]
    assert refused.verdict is Verdict.REFUSED


def _parameters(connections: str) -> dict[str, Any]:
    static = {"name": "max_connections", "value": connections, "applyMethod": "pending-reboot"}
    dynamic = {"name": "rds.force_ssl", "value": connections, "applyMethod": "immediate"}
    return {"inputs": {"parameters": [static, dynamic]}}


@pytest.mark.parametrize(("before", "after", "told"), [("110", "200", 1), ("110", "110", 0), (None, "110", 0)])
def test_a_parameter_that_waits_for_a_restart_is_reported(before: str | None, after: str, told: int) -> None:
    """The budget of connections is accepted at once, and the database has them after a restart that nobody does."""
    token = "aws:rds/parameterGroup:ParameterGroup"
    old = _parameters(before) if before else None
    stream = stream_of(
        step("update", token, "p", old=old, new=_parameters(after)),
        step("same", "aws:rds/instance:Instance", "i", new={"inputs": {"identifier": "mlflow-backend-dev"}}),
        step("same", tokens.ECS_ROLLOUT, "r", new={"inputs": {"region": "eu-west-1"}}),
    )
    command = restart_database("mlflow-backend-dev", "eu-west-1")
    warnings = [each for each in report_of(stream).warnings if command in each]
    assert len(warnings) == told
    assert all("110" in each and "200" in each for each in warnings)
