"""ElastiCache groups that are real: a Valkey at an address on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.core.exceptions import ServiceException
from moto.elasticache.models import ElastiCacheBackend, ReplicationGroup

from tests.rig.aws.engines import Engines
from tests.rig.valkey import Valkey

if TYPE_CHECKING:
    from pathlib import Path

    from tests.rig.authority import Authority
    from tests.rig.loopback import Block
    from tests.rig.patches import Patches


class _TokenWithoutTls(ServiceException):
    code = "InvalidParameterCombination"
    message = "The AUTH token is only supported when encryption-in-transit is enabled"


class Caches(Engines[Valkey]):
    """The caches that run, by their group's identifier."""

    def __init__(self, patches: Patches, folder: Path, block: Block, authority: Authority) -> None:
        """Let moto's groups be real ones from now on."""
        super().__init__(patches, folder, block, authority)
        self._install(patches)

    def _install(self, patches: Patches) -> None:
        caches = self

        def create(backend: ElastiCacheBackend, *rest: Any, **named: Any) -> ReplicationGroup:
            if named["auth_token"] and not named["transit_encryption_enabled"]:
                raise _TokenWithoutTls
            made: ReplicationGroup = before_create(backend, *rest, **named)
            running = caches.start(made, str(named["auth_token"] or ""))
            for node in made.node_groups:
                for key in ("primary_endpoint_address", "reader_endpoint_address"):
                    node[key] = running.address
                node["primary_endpoint"] = {"address": running.address, "port": running.port}
            return made

        def delete(backend: ElastiCacheBackend, replication_group_id: str, **named: Any) -> ReplicationGroup:
            gone: ReplicationGroup = before_delete(backend, replication_group_id, **named)
            # moto's stays 'deleting' for ever, and whoever waits for its end waits as long.
            del backend.replication_groups[replication_group_id]
            caches.end(replication_group_id)
            return gone

        before_create = patches.put(ElastiCacheBackend, "create_replication_group", create)
        before_delete = patches.put(ElastiCacheBackend, "delete_replication_group", delete)

    def start(self, group: ReplicationGroup, token: str) -> Valkey:
        """Run what moto made a record of."""
        return self.run(
            group.replication_group_id,
            lambda folder, address: Valkey(
                folder,
                self.authority,
                address=address,
                port=int(group.port),
                token=token,
                tls=bool(group.transit_encryption_enabled),
            ),
        )
