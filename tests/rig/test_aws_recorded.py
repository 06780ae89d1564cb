"""The code of today on the state that each released version left on AWS: nothing that holds data is made anew."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mlflow_backend import tokens
from tests.engine.recorded import FIXTURES
from tests.rig import contents, recorded
from tests.rig.aws.scene import VERSION

if TYPE_CHECKING:
    from pathlib import Path

    from tests.rig.aws.rig import AwsRig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

HOLDS_DATA = {
    "aws:s3/bucket:Bucket",
    "aws:rds/instance:Instance",
    "aws:elasticache/replicationGroup:ReplicationGroup",
    "aws:kms/key:Key",
    tokens.AWS_SERVER_SECRETS,
}
ARCHIVES = sorted(FIXTURES.glob("*/dev.tar.xz"))


@pytest.mark.parametrize("archive", ARCHIVES, ids=[path.parent.name for path in ARCHIVES])
def test_a_preview_replaces_nothing_that_holds_data(archive: Path, rig: AwsRig, tmp_path: Path) -> None:
    """Every resource of the old state that holds data is found under its URN, and is neither deleted nor made anew."""
    rig.images.publish(VERSION, contents.small(version=VERSION), labels=contents.labels(VERSION))
    stack = recorded.restore(archive, tmp_path / "stack", rig)
    held = {each["urn"]: each["type"] for each in stack.state_of_resources() if each["type"] in HOLDS_DATA}
    assert set(held.values()) == HOLDS_DATA
    done = stack.pulumi("preview", "--json", "--show-sames", "--stack", stack.name)
    assert done.ok, done.text
    planned = {step["urn"]: step["op"] for step in json.loads(done.text[done.text.index("{") :])["steps"]}
    assert {urn: planned.get(urn) for urn in held if planned.get(urn) not in {"same", "update"}} == {}
    assert not [urn for urn, op in planned.items() if op == "delete"]
