"""moto as it is, held against each repair: where bare moto is right by now, the repair can go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from moto import settings

from tests.rig.authority import Authority
from tests.rig.aws.repairs import by_repair
from tests.rig.aws.server import MotoServer
from tests.rig.loopback import Block
from tests.rig.patches import Patches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="module")
def bare(containers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoServer]:
    """Moto alone, with its own IAM enforced, and nothing repaired."""
    with Patches() as patches:
        block = patches.enter_context(Block())
        yield MotoServer(patches, block, Authority(tmp_path_factory.mktemp("bare") / "authority"))


@by_repair
def test_bare_moto_does_not(bare: MotoServer, repair: Callable[[MotoServer], bool]) -> None:
    """Bare moto breaks the promise that the rig keeps, or there would be nothing to repair."""
    assert settings.INITIAL_NO_AUTH_ACTION_COUNT == 0
    assert not repair(bare), f"moto is right by now: {repair.__doc__}"
