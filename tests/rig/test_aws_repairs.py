"""Each repair of moto: what it is for holds on the rig. test_aws_bare.py holds the same against moto as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rig.aws.repairs import Aws, by_repair

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.rig.aws.rig import AwsRig


@by_repair
def test_the_rig_keeps_what_aws_promises(rig: AwsRig, repair: Callable[[Aws], bool]) -> None:
    """What the repair is for holds on the rig."""
    assert repair(rig.server), repair.__doc__
