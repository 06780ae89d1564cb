"""The revision that a restore makes of newer secrets: it is the one that the next update declares."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from mlflow_backend.cloudrun.render import containers
from mlflow_backend.cloudrun.render.service import template
from mlflow_backend.cloudrun.renewal import renewed, template_of
from mlflow_backend.server import keys
from tests.components.cloudrun.stacks import NAMING, changed, surroundings, versions

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend.cloudrun.service import CloudRun

REVISION = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
RENEWED = {NAMING.secret(name): "2" for name in keys.NAMES}


def _declared(variant: str, *, renewed: bool = False, failed: tuple[str, ...] = ()) -> dict[str, Any]:
    settings = changed(variant, {})
    found = versions(settings)
    newer = {name: each for name, each in versions(settings, "2").items() if each.secret in RENEWED}
    drawn = replace(surroundings(settings), secrets={**found, **(newer if renewed else {})})
    return template(settings, NAMING, drawn, release="a-release", failed=failed)


def _revision(declared: dict[str, Any]) -> dict[str, Any]:
    """Return what Google shows of a revision, with fields that nobody declared."""
    rest = {name: each for name, each in declared.items() if name != "revision"}
    return {**rest, "name": f"services/s/revisions/{declared['revision']}", "uid": "u", "conditions": []}


@pytest.mark.parametrize("variant", ["basic", "adopted", "many"])
def test_it_is_what_the_next_update_declares(variant: str) -> None:
    """By its name, its hosts and the versions of its secrets; of the tag before nothing is left."""
    before, after = _declared(variant), _declared(variant, renewed=True)
    assert after["revision"] != before["revision"]
    assert template_of(_revision(before), RENEWED, naming=NAMING, failed=()) == after


def test_one_that_never_started_keeps_its_name() -> None:
    """Google does not start it again: the next attempt has the name that the next update gives it too."""
    failed = (str(_declared("basic", renewed=True)["revision"]),)
    after = _declared("basic", renewed=True, failed=failed)
    assert template_of(_revision(_declared("basic")), RENEWED, naming=NAMING, failed=failed) == after


def test_the_same_secrets_are_the_same_revision() -> None:
    """Also if it was named by an older release of this project."""
    before = {**_declared("basic"), "revision": f"{NAMING.service()}-r00000000"}
    same = dict.fromkeys(RENEWED, "1")
    assert template_of(_revision(before), same, naming=NAMING, failed=()) == before


class Run:
    """A service with revisions, which notes each change that it is asked for."""

    naming = NAMING

    def __init__(self, *found: dict[str, Any]) -> None:
        """Take its revisions; the first one has the traffic."""
        self.found, self.changes = list(found), list[dict[str, Any]]()
        name = found[0]["name"].rsplit("/", 1)[-1]
        self.service = {"traffic": [{"type": REVISION, "revision": name, "percent": 100}]}

    def revision(self, name: str) -> dict[str, Any]:
        """Return a revision."""
        return next(each for each in self.found if each["name"].endswith(f"/{name}"))

    def revisions(self) -> list[dict[str, Any]]:
        """Return all of them."""
        return self.found

    def change(self, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Note what it is asked for."""
        self.changes.append(edit(self.service))


def test_it_is_made_once_and_gets_no_traffic() -> None:
    """A restore that is repeated after a kill finds it: Google refuses a revision of a name that is there."""
    before, after = _declared("basic"), _declared("basic", renewed=True)
    run = Run(_revision(before))
    assert renewed(cast("CloudRun", run), before["revision"], RENEWED) == after["revision"]
    (change,) = run.changes
    assert change["template"] == after
    assert [(each.get("revision"), each["percent"]) for each in change["traffic"]] == [
        (before["revision"], 100), (None, 0),
    ]  # fmt: skip
    again = Run(_revision(before), _revision(after))
    assert renewed(cast("CloudRun", again), before["revision"], RENEWED) == after["revision"]
    assert again.changes == []


def test_a_container_has_the_named_versions_and_no_other() -> None:
    """What is plain, and the secrets of others, stay."""
    container = _declared("basic")["containers"][1]
    secret = NAMING.secret(keys.WEBHOOK)
    found = containers.with_versions(container, {secret: "7"})
    changed_ones = [new for new, old in zip(found["env"], container["env"], strict=True) if new != old]
    assert [each["valueSource"]["secretKeyRef"] for each in changed_ones] == [{"secret": secret, "version": "7"}]
    assert {**found, "env": container["env"]} == container
