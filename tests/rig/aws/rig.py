"""Emulated AWS that runs tasks for real, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.rig.authority import Authority
from tests.rig.aws import balancer, buckets, descriptions, labels, records
from tests.rig.aws.cache import Caches
from tests.rig.aws.cache_groups import CacheGroups
from tests.rig.aws.database import Databases
from tests.rig.aws.ecs.api import Api
from tests.rig.aws.ecs.controller import Controller
from tests.rig.aws.ecs.runtime import Runtime
from tests.rig.aws.iam import enforcement, simulation
from tests.rig.aws.images import Images
from tests.rig.aws.quotas import Quotas
from tests.rig.aws.scaling import TargetTags
from tests.rig.aws.server import ACCOUNT, REGION, Caller, MotoServer
from tests.rig.balancing import Balancers
from tests.rig.loopback import Block
from tests.rig.patches import Patches

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from tests.rig.aws.ecs.model import Task
    from tests.rig.clock import Clock


class AwsRig:
    """One account in one region, empty.

    `environment` is what a process needs to be its administrator; `endpoint_url` is all services' one address. A test
    asserts `live_tasks`, so that no old task answers for a new one. `decided` is what IAM was asked so far.
    """

    region, account = REGION, ACCOUNT

    def __init__(self, folder: Path, clock: Clock, block: Block | None = None) -> None:
        """Start it, on loopback unless other addresses are given."""
        self._patches = Patches()
        try:
            self._start(folder, clock, self._patches.enter_context(block or Block()))
        except BaseException:
            self._patches.close()
            raise

    def _start(self, folder: Path, clock: Clock, block: Block) -> None:
        patches = self._patches
        self.clock = clock
        self.authority = Authority(folder / "authority")
        self.server = MotoServer(patches, block, self.authority)
        self.decided = enforcement.install(patches)
        simulation.install(patches)
        buckets.install(patches)
        self.databases = Databases(patches, folder / "databases", block, self.authority)
        self.caches = Caches(patches, folder / "caches", block, self.authority)
        CacheGroups(patches)
        TargetTags(patches)
        self.quotas = Quotas(patches)
        descriptions.install(patches)
        labels.install(patches)
        records.install(patches)
        self.images = Images(patches, self.server)
        self.balancers = Balancers(clock, balancer.rule_of)
        patches.callback(self.balancers.close)
        balancer.Balancing(patches, self.balancers, block, self.authority)
        runtime = Runtime(
            patches,
            folder / "tasks",
            server=self.server,
            images=self.images,
            balancers=self.balancers,
            authority=self.authority,
            clock=clock,
            credentials_address=block.address(),
        )
        self.controller = Controller(runtime, self.balancers, block)
        patches.callback(self.controller.close)
        Api(patches, self.controller)

    @property
    def endpoint_url(self) -> str:
        """The address of every service, by TLS."""
        return self.server.endpoint_url

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to call it as its administrator."""
        return self.server.environment()

    def client(self, service: str, caller: Caller | None = None) -> Any:
        """Return a boto3 client, the administrator's unless another caller is named."""
        return self.server.client(service, caller)

    @property
    def live_tasks(self) -> list[Task]:
        """The tasks that have a process."""
        return self.controller.live()

    def close(self) -> None:
        """End everything."""
        self._patches.close()

    def __enter__(self) -> Self:
        """Use it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything."""
        self.close()
