"""The backend as it is registered: its URNs guarded, in every variant and in preview, and what a pin makes of it."""

from __future__ import annotations

import importlib.util
import inspect
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.cloudrun.backend import Found
from mlflow_backend.cloudrun.render import access
from mlflow_backend.contract import Release
from mlflow_backend.gcp.render import identity, network, secrets
from mlflow_backend.releases.pins import PinnedRelease
from mlflow_backend.schedules import BACKUP, MAINTENANCE
from tests.components.cloudrun import recording
from tests.components.cloudrun.recording import DEPLOYED, SAME_URNS, record
from tests.components.cloudrun.stacks import NAMING, PROJECT, changed
from tests.components.registrations import assert_distinct, assert_urns_kept, of_type, walk

if TYPE_CHECKING:
    from tests.components.registrations import Registered

OWN = replace(NAMING, stack_project="mlflow-backend")
"""The names in the project that Pulumi's mocks have."""
SNAPSHOTS = Path(__file__).parent / "snapshots"
LATEST, NAMED = (f"TRAFFIC_TARGET_ALLOCATION_TYPE_{each}" for each in ("LATEST", "REVISION"))


def named(registered: list[Registered], name: str) -> Registered:
    """Return the resource of a name."""
    (found,) = [each for each in registered if each.name == f"mlflow-{name}"]
    return found


@pytest.mark.parametrize("variant", DEPLOYED)
def test_urns_do_not_change_unnoticed(variant: str) -> None:
    """A moved or renamed resource is made anew, a database too. UPDATE_SNAPSHOTS=1 records what is meant."""
    assert_urns_kept(record, variant, SNAPSHOTS / f"{SAME_URNS.get(variant, variant)}.txt")


def test_no_two_snapshots_are_the_same() -> None:
    """A variant that differs in values alone belongs into `SAME_URNS`."""
    assert_distinct(SNAPSHOTS, len(DEPLOYED) - len(SAME_URNS))


@pytest.mark.parametrize("variant", DEPLOYED)
def test_every_property_is_one_that_the_sdk_knows(variant: str) -> None:
    """A mock takes any name at any depth; the real provider does not."""
    unknown, looked_at = [], 0
    for each in record(variant):
        if each.type.startswith("gcp:"):
            module, kind = each.type.split(":")[1].split("/")[0], each.type.split(":")[2]
            class_ = getattr(importlib.import_module(f"pulumi_gcp.{module}"), kind)
            unknown += [f"{each.name}: {path}" for path in _unknown(class_, each.inputs)]
            looked_at += 1
    assert unknown == []
    assert looked_at > 30


def _unknown(class_: type, inputs: dict[str, Any]) -> list[str]:
    """Return the properties of a resource that its class does not have, nested ones by the types of its arguments."""
    parameters = inspect.signature(class_._internal_init).parameters  # type: ignore[attr-defined]
    package = class_.__module__.rpartition(".")[0]
    nested = importlib.util.find_spec(f"{package}._inputs") is not None
    module = importlib.import_module(f"{package}._inputs") if nested else None
    found = []
    for key, value in inputs.items():
        parameter = parameters.get(_snake(key))
        if parameter is None:
            found.append(key)
        else:
            found += [f"{key}{rest}" for rest in _nested(module, str(parameter.annotation), value)]
    return found


def _nested(module: Any, annotation: str, value: Any) -> list[str]:
    if isinstance(value, list):
        return [rest for each in value for rest in _nested(module, annotation, each)]
    names = re.findall(r"'?(\w+Args)\b", annotation)
    if not isinstance(value, dict) or not names:
        return []
    parameters = inspect.signature(getattr(module, names[0]).__init__).parameters
    found = []
    for key, item in value.items():
        parameter = parameters.get(_snake(key))
        if parameter is None:
            found.append(f".{key}")
        else:
            found += [f".{key}{rest}" for rest in _nested(module, str(parameter.annotation), item)]
    return found


def _snake(name: str) -> str:
    return re.sub("(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


@pytest.mark.parametrize("variant", DEPLOYED)
def test_everything_is_in_the_project_that_is_named(variant: str) -> None:
    """The default provider would use whatever project is logged in."""
    registered = record(variant)
    (own,) = [each for each in registered if each.type == "pulumi:providers:gcp"]
    assert (own.inputs["project"], own.inputs["region"]) == (PROJECT, NAMING.region)
    for each in registered:
        if each.type.startswith("gcp:"):
            assert each.provider.startswith(own.urn), each.urn


@pytest.mark.parametrize("variant", DEPLOYED)
def test_no_secret_is_registered(variant: str) -> None:
    """Values are drawn straight into Secret Manager: Pulumi has none, not even an encrypted one."""
    for each in record(variant):
        for path, value in walk(each.inputs):
            assert not re.search(r"://[^/\s@]*:[^/\s@{]+@", str(value)), f"{each.urn}{path}"
            assert not re.search(r"(?i)root_?password|secretData", path), f"{each.urn}{path}"


def test_an_update_has_its_order() -> None:
    """No server is ever started on a database that is not at its head, nor before its release was verified."""
    registered = record("basic")
    for first, second in (("job-database", "migration"), ("migration", "candidate"), ("candidate", "service")):
        assert named(registered, first).urn in named(registered, second).needs, second
    assert named(registered, "service").urn in named(registered, "rollout").needs
    assert named(registered, "server").urn in named(registered, "job-database").needs


def test_another_password_of_the_database_runs_the_step_that_gives_it_to_the_role() -> None:
    """Without it the new revision would be let in by nobody."""

    def database(version: str) -> str:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(recording, "VERSION", version)
            return str(named(record("basic"), "migration").inputs["database"])

    assert database("1") != database("2")


@pytest.mark.parametrize("protect", [True, False])
def test_what_holds_data_is_protected(*, protect: bool) -> None:
    """backup.protect guards it in Pulumi and at Google; what holds nothing can be deleted and replaced at any time."""
    registered = record("basic", backup={"protect": protect})
    kept = {"bucket", "database-instance", "cache-instance", *(f"secret-{part}" for part in secrets.KEPT)}
    assert {each.name.removeprefix("mlflow-") for each in registered if each.protect} == (kept if protect else set())
    assert named(registered, "database-instance").inputs["deletionProtection"] is protect
    assert named(registered, "service").inputs["deletionProtection"] is False
    assert named(registered, "job-database").inputs["deletionProtection"] is False


def test_the_apis_outlive_the_stack() -> None:
    """Others may use them by then."""
    found = [each.inputs for each in record("basic") if each.type == "gcp:projects/service:Service"]
    assert {each["service"] for each in found} == set(network.apis(changed("basic", {})))
    assert not any(each["disableOnDestroy"] for each in found)


def test_the_network_goes_after_the_stores_with_its_peering() -> None:
    """Google holds the connection of a deleted database for days, and the network with it."""
    registered = record("basic")
    peering = named(registered, "peering")
    assert peering.inputs["deletionPolicy"] == "REMOVE_PEERING"
    for store in ("database-instance", "cache-instance"):
        assert peering.urn in named(registered, store).needs, store


@pytest.mark.parametrize("variant", DEPLOYED)
def test_an_account_reads_the_secrets_of_its_containers(variant: str) -> None:
    """One that is missing keeps a revision from starting; one too many is read by whoever has the server."""
    registered = record(variant)
    accounts = [each.name.removeprefix("mlflow-") for each in of_type(registered, "Account")]
    granted: dict[str, set[str]] = {part: set() for part in accounts}
    for each in of_type(registered, "SecretIamMember"):
        (part,) = [part for part in accounts if each.inputs["member"] == OWN.member(part)]
        granted[part].add(each.inputs["secretId"])
    given = {
        identity.SERVER: _secrets(named(registered, "service").inputs["template"]),
        identity.DATABASE: _secrets(named(registered, "job-database").inputs["template"]),
        identity.VERIFIER: _secrets(named(registered, "job-verify").inputs["template"]),
    }
    if access.maintainable(changed(variant, {})):
        given[MAINTENANCE] = _secrets(named(registered, "job-maintenance").inputs["template"])
    if variant == "backups":
        given[BACKUP] = _secrets(named(registered, "job-backup").inputs["template"])
    if variant == "token":
        given[identity.SERVER].add(OWN.secret(secrets.API_KEYS))
    assert granted == given


def _secrets(template: Any) -> set[str]:
    found = {value for path, value in walk(template) if path.endswith(".secret")}
    return {str(each) for each in found}


def test_a_first_deployment_names_no_revision() -> None:
    """It is not there yet."""
    (target,) = named(record("basic"), "service").inputs["traffics"]
    assert (target["type"], target["percent"], "revision" in target) == (LATEST, 100, False)


def live(traffic: list[dict[str, Any]], latest: str, **more: Any) -> Found:
    """Return a service that has been deployed."""
    service = {"traffic": traffic, "latestCreatedRevision": f"x/{latest}", "latestReadyRevision": f"x/{latest}"}
    return Found(service=service, pinned=None, wanted=frozenset({latest}), **more)


def test_a_repeated_update_declares_what_is_there() -> None:
    """Neither after the first deployment nor after a later one does the traffic differ."""
    first = named(record("basic"), "service").inputs
    again = named(record("basic", found=live(first["traffics"], first["template"]["revision"])), "service").inputs
    assert again["traffics"] == first["traffics"]
    old = f"{OWN.service()}-r00000000"
    upgraded = record("basic", found=live([{"type": LATEST, "percent": 100, "tag": "r00000000"}], old))
    traffic = named(upgraded, "service").inputs["traffics"]
    revision = first["template"]["revision"]
    assert traffic[0] == {"type": NAMED, "revision": revision, "percent": 100}
    assert {each["tag"]: each["revision"] for each in traffic[1:]} == {
        "r00000000": old,
        revision.removeprefix(f"{OWN.service()}-"): revision,
    }
    kept = Found(
        service={"traffic": traffic, "latestCreatedRevision": f"x/{revision}"},
        pinned=None,
        wanted=frozenset({revision, old}),
    )
    assert named(record("basic", found=kept), "service").inputs["traffics"] == traffic
    candidate = named(upgraded, "candidate").inputs
    assert json.loads(candidate["traffic"]) == traffic
    assert candidate["revision"] == revision


def test_a_release_that_did_not_start_is_tried_again_as_another_revision() -> None:
    """Its name is taken for ever; a repeated update stays with the attempt that started."""

    def tried(*failed: str) -> str:
        found = record("basic", found=replace(live([], old), failed=frozenset(failed)))
        inputs = named(found, "candidate").inputs
        template, revision = named(found, "service").inputs["template"], str(inputs["revision"])
        assert (template["revision"], f"{OWN.service()}-{inputs['tag']}") == (revision, revision)
        return revision

    old = f"{OWN.service()}-r00000000"
    first = tried()
    second = tried(first)
    third = tried(first, second)
    assert len({first, second, third}) == 3
    assert tried(first, old) == second


def test_a_pinned_revision_keeps_the_traffic_and_the_template() -> None:
    """Fact 7: neither the next update nor drift remediation undoes a rollback, and no revision is made meanwhile."""
    old, new = (f"{OWN.service()}-r{each * 8}" for each in "01")
    traffic = [{"type": NAMED, "revision": old, "percent": 100}, {"type": NAMED, "revision": new, "tag": "r11111111"}]
    pinned = PinnedRelease(
        release=Release(revision=old, mlflow_version="3.10.1", image_digest="sha256:old"),
        identity="i",
        withheld="pinned",
        manual=True,
    )
    found = Found(
        service={"traffic": traffic, "latestCreatedRevision": new}, pinned=pinned, wanted=frozenset({old, new})
    )
    registered = record("basic", found=found, release={"acceptPin": True})
    service = named(registered, "service")
    assert service.ignored == ("template",)
    assert service.inputs["traffics"][0] == traffic[0]
    assert named(registered, "candidate").inputs["pinned"] is True
    assert named(registered, "rollout").inputs["revision"] == old
