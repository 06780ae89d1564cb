"""The service's body: what Google's discovery document takes, and each fact of Cloud Run that bites."""

from __future__ import annotations

import copy
import fnmatch
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.cloudrun import rendered, scheduled
from mlflow_backend.cloudrun.locator import locator_of
from mlflow_backend.cloudrun.refusals import refuse_unsupported
from mlflow_backend.cloudrun.render import access, jobs
from mlflow_backend.cloudrun.render.inputs import hosts
from mlflow_backend.cloudrun.render.service import BILLING, Traffic, release_identity, revision_digest, scaling, targets
from mlflow_backend.cloudrun.traffic import beside
from mlflow_backend.gcp.render.secrets import SecretVersion
from tests import google_apis
from tests.components.cloudrun.stacks import NAMING, VARIANTS, body_of, changed, surroundings

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend.cloudrun.render.service import Surroundings
    from mlflow_backend.gcp.naming import Naming
    from mlflow_backend.report.quantities import Quantity
    from mlflow_backend.settings import Settings

OLD, NEW = NAMING.revision("0" * 16), NAMING.revision("1" * 16)


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_rendered_is_taken(variant: str) -> None:
    """Every field is one of run.v2, and Cloud Run's own rules hold."""
    settings = changed(variant, {})
    refuse_unsupported(settings)
    assert google_apis.service_problems(body_of(settings)) == []
    backups = [] if settings.backup.destination is None else [jobs.backup_job]
    for job in (jobs.database_job, verify_job, *backups):
        body = job(settings, NAMING, surroundings(settings))
        assert google_apis.problems("run.v2", "GoogleCloudRunV2Job", body) == []


def verify_job(settings: Settings, naming: Naming, drawn: Surroundings) -> dict[str, Any]:
    """Return the job that verifies within the network, as an update makes it."""
    return jobs.verify_job(settings, naming, drawn, scheduled.verify_command(settings, locator_of(settings, naming)))


def broken(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """Return a body in which one thing is wrong."""
    body = copy.deepcopy(body_of(changed("basic", {})))
    change(body)
    return body


def _front(body: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = body["template"]["containers"][0]
    return found


BREAKS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "unknown field": lambda body: body.update(minInstances=1),
    "set by Google only": lambda body: body.update(uri="https://x"),
    "is none of": lambda body: body.update(ingress="ALL"),
    "is no google-duration": lambda body: body["template"].update(timeout="300"),
    "is no int32": lambda body: body["scaling"].update(minInstanceCount="1"),
    "is no boolean": lambda body: body.update(iapEnabled="yes"),
    "is no array": lambda body: body.update(traffic={}),
    "is no object": lambda body: body.update(template=[]),
    "is no string": lambda body: _front(body).update(image=1),
    "do not sum to 100": lambda body: body["traffic"][0].update(percent=50),
    "minimum is more": lambda body: body["scaling"].update(minInstanceCount=5),
    "2 ports take requests": lambda body: body["template"]["containers"][1].update(ports=[{"containerPort": 5000}]),
    "0 ports take requests": lambda body: _front(body).pop("ports"),
    "unknown protocol": lambda body: _front(body)["ports"][0].update(name="h2"),
    "do not go with": lambda body: _front(body)["resources"]["limits"].update(memory="5120Mi"),
    "8 at most": lambda body: _front(body)["resources"]["limits"].update(cpu="8", memory="4Gi"),
    "not both there and mounted": lambda body: body["template"]["volumes"].pop(),
    "all of its memory": lambda body: body["template"]["volumes"][-2]["emptyDir"].pop("sizeLimit"),
    "not shorter than its period": lambda body: _front(body)["startupProbe"].update(timeoutSeconds=2),
    "more than 240": lambda body: _front(body)["startupProbe"].update(failureThreshold=121),
    "waits for a container": lambda body: _front(body).update(dependsOn=["nobody"]),
    "is no name": lambda body: body["template"].update(revision="1-x"),
    "labels: Team": lambda body: body["labels"].update(Team="x"),
    "is no number": lambda body: body["template"]["volumes"][0]["secret"]["items"][0].update(version="latest"),
    "concurrency": lambda body: body["template"].update(maxInstanceRequestConcurrency=1001),
    "exactly if its type": lambda body: body["traffic"][0].update(revision="r"),
}


@pytest.mark.parametrize("finding", BREAKS)
def test_a_wrong_body_is_noticed(finding: str) -> None:
    """The check is no rubber stamp: each thing that Google refuses, alone, is found."""
    assert [each for each in google_apis.service_problems(broken(BREAKS[finding])) if finding in each]


def test_requests_of_any_size_reach_the_server() -> None:
    """Fact 1: the container that takes requests speaks h2c, which has no limit of 32 MiB; the server does not."""
    front, server = body_of(changed("basic", {}))["template"]["containers"]
    assert front["ports"] == [{"name": "h2c", "containerPort": 8080}]
    assert "ports" not in server
    assert front["image"] == server["image"]
    assert front["dependsOn"] == [server["name"]]


def test_artifacts_go_through_the_server() -> None:
    """Fact 2: MLflow signs no URL with the metadata server's credentials, so that nothing asks it to."""
    (server,) = (each for each in body_of(changed("basic", {}))["template"]["containers"] if each["name"] == "server")
    assert "--serve-artifacts" in server["args"]
    assert not [each for each in server["env"] if "PRESIGNED" in each["name"] or "MULTIPART" in each["name"]]


@pytest.mark.parametrize("variant", VARIANTS)
def test_only_the_service_keeps_instances_warm(variant: str) -> None:
    """Facts 3 and 4: a revision's own minimum bills a tagged one for ever; what is left out is a lasting difference."""
    settings = changed(variant, {})
    body = body_of(settings)
    assert body["scaling"] == {"scalingMode": "AUTOMATIC", **scaling(settings)}
    assert set(scaling(settings)) == {"minInstanceCount", "maxInstanceCount"}
    assert body["template"]["scaling"]["minInstanceCount"] == 0
    assert body["scaling"]["minInstanceCount"] == (0 if variant == "cold" else 1)


def test_a_revision_that_is_kept_has_a_tag() -> None:
    """Fact 6: Cloud Run deletes old revisions that nothing addresses."""
    found = targets(Traffic(serving=NEW, kept={"r00000000": OLD}))
    assert {
        "type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION",
        "revision": OLD,
        "percent": 0,
        "tag": "r00000000",
    } in found


def test_a_pinned_revision_has_all_the_traffic() -> None:
    """Fact 7: the next update has the pin's own traffic, so that it undoes nothing."""
    (found,) = targets(Traffic(serving=OLD))
    assert (found["revision"], found["percent"]) == (OLD, 100)


def test_the_first_deployment_names_no_revision() -> None:
    """Fact 8: one named in the first create's traffic does not exist."""
    (found,) = body_of(changed("basic", {}))["traffic"]
    assert (found["type"], "revision" in found) == ("TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", False)


@pytest.mark.parametrize("found", [[], targets(Traffic(serving=OLD)), targets(Traffic(first="r1"))])
def test_a_candidate_is_the_latest_with_a_tag(found: list[dict[str, Any]]) -> None:
    """A candidate beside a serving revision has no traffic; in the first deployment nobody serves beside it."""
    named = any("revision" in each for each in found)
    body = {**body_of(changed("basic", {})), "traffic": beside({"traffic": found}, "r1")}
    assert google_apis.service_problems(body) == []
    assert body["traffic"][-1] == {
        "type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST",
        "percent": 0 if named else 100,
        "tag": "r1",
    }


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"gcp": {"service": {"minInstances": 0}}}, True),
        ({"gcp": {"network": {"ingress": "internal"}}}, True),
        ({"server": {"workers": 2}}, False),
        ({"server": {"mlflowVersion": "3.10.1"}}, False),
        ({"gcp": {"service": {"concurrency": 40}}}, False),
    ],
)
def test_a_revision_is_named_by_what_it_is(changes: dict[str, Any], *, same: bool) -> None:
    """Fact 8: a name used again with other content is a conflict; what is the service's alone makes no revision."""
    settings, other = changed("basic", {}), changed("basic", changes)
    first, second = (release_identity(each, NAMING) for each in (settings, other))
    assert (first == second) is same
    assert (body_of(settings)["template"] == body_of(other)["template"]) is same


def test_another_version_of_a_secret_is_another_revision() -> None:
    """A revision's secrets are fixed: rotated ones come with a new revision, an old one keeps those it passed with."""
    settings = changed("basic", {})
    drawn = surroundings(settings)
    rotated = {**drawn.secrets, "flask-secret-key": replace(drawn.secrets["flask-secret-key"], version="2")}
    unread = {**drawn.secrets, "database-admin-password": SecretVersion(secret="s", version="2")}
    first, second, third = (
        revision_digest(settings, NAMING, replace(drawn, secrets=each), release="r")
        for each in (drawn.secrets, rotated, unread)
    )
    assert (first != second, first == third) == (True, True)


def test_another_limit_of_instances_is_another_revision_of_the_same_release() -> None:
    """A revision's document has it, and no document has another's name; a blocked release stays blocked."""
    settings, other = changed("basic", {}), changed("basic", {"scaling": {"maxReplicas": 2}})
    first, second = (body_of(each)["template"] for each in (settings, other))
    assert first["scaling"] != second["scaling"]
    assert first["revision"] != second["revision"]
    assert first["labels"] == second["labels"]


@pytest.mark.parametrize(
    ("variant", "iap", "open_to_all", "audience", "invokers"),
    [
        ("basic", False, True, None, None),
        ("token", False, True, None, None),
        ("iam", False, False, NAMING.url(), {"group:ml@example.com", "v"}),
        ("both", False, False, NAMING.url(), {"group:ml@example.com", "v"}),
        ("iap", True, False, f"{NAMING.url()}/*", {access.iap_agent(NAMING), "v"}),
    ],
)
def test_somebody_checks_each_request(
    variant: str, audience: str | None, invokers: set[str] | None, *, iap: bool, open_to_all: bool
) -> None:
    """Fact 9: IAP's agent must be an invoker. Nobody but the server's own check opens the service to all."""
    settings = changed(variant, {})
    body = body_of(settings)
    assert (body["iapEnabled"], body["invokerIamDisabled"]) == (iap, open_to_all)
    assert access.audience(settings, NAMING) == audience
    signed_in = access.sign_in(settings, NAMING)
    assert signed_in.get("MLFLOW_BACKEND_AUDIENCE") == audience
    assert ("MLFLOW_BACKEND_IDENTITY_HEADER" in signed_in) is settings.gcp.access.second_header
    found = access.bindings(settings, NAMING, own=["v"])
    assert [set(each["members"]) for each in found] == ([invokers] if invokers else [])
    assert [set(each["members"]) for each in access.iap_bindings(settings, verifier="v")] == (
        [{"group:ml@example.com", "v"}] if iap else []
    )
    assert open_to_all is (settings.access.mode in {"basic", "token"} and settings.gcp.access.identity is None)
    assert "allUsers" not in json.dumps([body, found])


def test_a_token_of_iap_is_for_the_address_that_is_asked() -> None:
    """Of the users' URL, a domain of theirs too, and of a candidate's tag; Cloud Run's own is for the service."""
    settings = changed("iap", {"network": {"publicUrl": "https://mlflow.example.com"}})
    locator, tag = locator_of(settings, NAMING), f"https://{NAMING.host('r1')}"
    account = NAMING.email("verify")
    assert locator.credentials == {"identityToken": f"gcp-signed:{account}#https://mlflow.example.com/*"}
    assert locator.credentials_at(f"{tag}/path") == {"identityToken": f"gcp-signed:{account}#{tag}/*"}
    assert access.audience(settings, NAMING) == "https://mlflow.example.com/*"
    two = locator_of(changed("both", {"gcp": {"access": {"identity": "iap"}}}), NAMING).credentials_at(tag)
    assert (two["gateToken"], two["gateHeader"]) == (f"gcp-signed:{account}#{tag}/*", "Proxy-Authorization")
    google = locator_of(changed("iam", {}), NAMING)
    assert google.credentials_at(tag) == {"identityToken": f"gcp-identity:{account}#{NAMING.url()}"}


def test_a_start_ends_ready_and_a_bad_minute_restarts_nothing() -> None:
    """Fact 11: ready before the first request, no new request if not ready, killed only if nothing answers."""
    front, server = body_of(changed("basic", {}))["template"]["containers"]
    assert server["startupProbe"]["httpGet"]["path"] == "/health/ready"
    assert server["startupProbe"]["periodSeconds"] * server["startupProbe"]["failureThreshold"] == 240
    assert front["readinessProbe"]["httpGet"] == {"path": "/health/ready", "port": 8080}
    assert server["livenessProbe"]["httpGet"]["path"] == "/health"
    assert "livenessProbe" not in front


@pytest.mark.parametrize(
    ("ingress", "said"),
    [
        ("all", "INGRESS_TRAFFIC_ALL"),
        ("internal", "INGRESS_TRAFFIC_INTERNAL_ONLY"),
        ("internalAndLoadBalancer", "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"),
    ],
)
def test_the_network_is_entered_and_left_as_the_settings_say(ingress: str, said: str) -> None:
    """Requests come from where they may; the stores' private addresses are gone to without a connector."""
    body = body_of(changed("basic", {"gcp": {"network": {"ingress": ingress}}}))
    assert body["ingress"] == said
    egress = body["template"]["vpcAccess"]
    assert (set(egress), egress["egress"]) == ({"egress", "networkInterfaces"}, "PRIVATE_RANGES_ONLY")
    assert [set(each) for each in egress["networkInterfaces"]] == [{"network", "subnetwork", "tags"}]


@pytest.mark.parametrize(("variant", "idle"), [("basic", True), ("token", False), ("jobs", False)])
def test_what_works_between_requests_has_cpu(variant: str, *, idle: bool) -> None:
    """Fact 12: jobs, and the thread that notices a revoked key, run while no request does."""
    template = body_of(changed(variant, {}))["template"]
    assert {each["resources"]["cpuIdle"] for each in template["containers"]} == {idle}
    assert template["containers"][1]["resources"]["startupCpuBoost"]
    assert template["executionEnvironment"] == "EXECUTION_ENVIRONMENT_GEN2"


def test_the_database_is_logged_in_to_by_password() -> None:
    """Fact 14: MLflow has no passwordless login; the password is a secret's version, and TLS is checked."""
    (server,) = (each for each in body_of(changed("basic", {}))["template"]["containers"] if each["name"] == "server")
    env = {each["name"]: each for each in server["env"]}
    assert env["PGPASSWORD"]["valueSource"]["secretKeyRef"] == {
        "secret": NAMING.secret("database-password"),
        "version": "1",
    }
    assert env["PGSSLMODE"]["value"] == "verify-ca"
    folders = [each["mountPath"] for each in server["volumeMounts"]]
    assert env["PGSSLROOTCERT"]["value"].rpartition("/")[0] in folders


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_secret_is_in_a_document(variant: str) -> None:
    """What holds a password is named, never rendered: the cache's URL too."""
    settings = changed(variant, {})
    drawn = surroundings(settings)
    text = json.dumps(
        [body_of(settings), jobs.database_job(settings, NAMING, drawn), verify_job(settings, NAMING, drawn)]
    )
    assert "rediss://" not in text.replace("rediss://10.1.0.4:6378", "")
    assert "{" not in json.dumps(
        [each.get("value", "") for each in _environment(settings) if each["name"] != "MLFLOW_BACKEND_FRONT"]
    )


def _environment(settings: Any) -> list[dict[str, Any]]:
    return [each for container in body_of(settings)["template"]["containers"] for each in container["env"]]


def test_a_revision_answers_to_each_of_its_names() -> None:
    """The service's two names and the tag's two; without the tag's a candidate's verification is MLflow's 403."""
    settings = changed("basic", {})
    drawn = revision_digest(settings, NAMING, surroundings(settings), release=release_identity(settings, NAMING))
    tag, service = NAMING.tag(drawn), NAMING.service()
    allowed = hosts(NAMING, tag)
    for host in (
        f"{service}-123456789012.europe-west1.run.app",
        f"{service}-abcdefghij-ew.a.run.app",
        f"{tag}---{service}-123456789012.europe-west1.run.app",
        f"{tag}---{service}-abcdefghij-ew.a.run.app",
    ):
        assert [each for each in allowed if fnmatch.fnmatch(host, each)], host
    assert not [each for each in allowed if fnmatch.fnmatch(f"r0---{service}-123456789012.europe-west1.run.app", each)]
    args = body_of(changed("basic", {}))["template"]["containers"][1]["args"]
    assert set(allowed) <= set(args[args.index("--allowed-hosts") + 1].split(","))


def test_what_stays_warm_is_counted() -> None:
    """A minimum is billed whether anybody calls or not, the front's CPU too."""
    billing = BILLING["gcp:cloudrunv2/service:Service"]
    assert billing.counted is not None
    body = body_of(changed("basic", {}))
    assert [(each.key, each.amount) for each in billing.counted(body)] == [
        ("cloudrun-vcpu", 3),
        ("cloudrun-memory", 4.5),
    ]
    cold: list[Quantity] = list(billing.counted(body_of(changed("cold", {}))))
    assert [each.amount for each in cold] == [0, 0]


def test_a_version_is_read_from_its_name() -> None:
    """An adopted secret is named with its version."""
    assert SecretVersion.of("projects/p/secrets/s/versions/3") == SecretVersion(
        secret="projects/p/secrets/s", version="3"
    )


@pytest.mark.parametrize(
    ("variant", "more"), [("basic", {"maintenance"}), ("backups", {"backup", "maintenance"}), ("both", set())]
)
def test_a_preview_is_shown_the_containers(variant: str, more: set[str]) -> None:
    """The policy pack judges them before anything is there, in the image that preflight has pinned."""
    found = rendered.render(changed(variant, {}), project="shop", stack="gcp", image="pinned@sha256:1")
    assert set(found.containers) == {"server", "database tool", "verification", *more}
    images = {each["image"] for part in more | {"database tool", "verification"} for each in found.containers[part]}
    assert images == {"pinned@sha256:1"}
    assert all("environment" in each for part in found.containers.values() for each in part)
