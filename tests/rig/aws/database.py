"""RDS instances that are real: an address on loopback, a Postgres there, and a managed secret that opens it."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any, Final

from moto.rds.models import DBInstance, DBParameterGroup, MasterUserSecret, RDSBackend

from tests.rig.aws.engines import Engines
from tests.rig.postgres import Postgres

if TYPE_CHECKING:
    from pathlib import Path

    from tests.rig.authority import Authority
    from tests.rig.loopback import Block
    from tests.rig.patches import Patches

_WAITS: Final = "pending-reboot"


class Databases(Engines[Postgres]):
    """The instances that run, by identifier."""

    def __init__(self, patches: Patches, folder: Path, block: Block, authority: Authority) -> None:
        """Let moto's instances be real ones from now on."""
        super().__init__(patches, folder, block, authority)
        self.waiting: set[str] = set()
        self._install(patches)
        self._install_restarts(patches)

    def _install(self, patches: Patches) -> None:
        databases = self

        def create(backend: RDSBackend, kwargs: dict[str, Any]) -> DBInstance:
            made: DBInstance = before_create(backend, kwargs)
            # moto gives all instances one, by which a restored instance could not be distinguished from the old one.
            made.dbi_resource_id = f"db-{secrets.token_hex(13).upper()}"
            databases.start(made)
            return made

        def delete(backend: RDSBackend, db_instance_identifier: str, **named: Any) -> DBInstance:
            gone: DBInstance = before_delete(backend, db_instance_identifier, **named)
            databases.end(db_instance_identifier)
            return gone

        def address(instance: DBInstance) -> str:
            # The answer to a deletion has the endpoint still.
            return databases.addresses[instance.db_instance_identifier]

        def secret(held: MasterUserSecret) -> str:
            return json.dumps({"username": held.resource.master_username, "password": secrets.token_urlsafe(16)})

        before_create = patches.put(RDSBackend, "create_db_instance", create)
        before_delete = patches.put(RDSBackend, "delete_db_instance", delete)
        patches.put(DBInstance, "address", property(address))
        patches.put(MasterUserSecret, "_generate_secret_string", secret)

    def _install_restarts(self, patches: Patches) -> None:
        """Let a changed static parameter be in force after a reboot only, as on RDS; `waiting` are those instances."""
        databases = self

        def change(backend: RDSBackend, group: str, parameters: list[dict[str, Any]]) -> DBParameterGroup:
            known = dict(_values(backend.db_parameter_groups[group]))
            changed: DBParameterGroup = before_change(backend, group, parameters)
            now = _values(changed)
            if any(each.get("ApplyMethod") == _WAITS and now != known for each in parameters):
                using = [each for each in databases.running if _group(backend.databases[each]) == group]
                databases.waiting.update(using)
            return changed

        def groups(instance: DBInstance) -> list[DBParameterGroup]:
            found = instance.db_parameter_groups()
            for group in found:
                waits = instance.db_instance_identifier in databases.waiting
                group.ParameterApplyStatus = _WAITS if waits else "in-sync"  # type: ignore[attr-defined]
            return found

        def reboot(backend: RDSBackend, db_instance_identifier: str) -> DBInstance:
            instance: DBInstance = before_reboot(backend, db_instance_identifier)
            databases.running[db_instance_identifier].restart(_parameters(instance))
            databases.waiting.discard(db_instance_identifier)
            return instance

        before_change = patches.put(RDSBackend, "modify_db_parameter_group", change)
        before_reboot = patches.put(RDSBackend, "reboot_db_instance", reboot)
        patches.put(DBInstance, "db_parameter_group_status_list", property(groups))

    def start(self, instance: DBInstance) -> None:
        """Run what moto made a record of."""
        self.run(
            instance.db_instance_identifier,
            lambda folder, address: Postgres(
                folder,
                self.authority,
                address=address,
                port=int(instance.port or 0),
                master=str(instance.master_username),
                password=_password(instance),
                database=instance.db_name,
                parameters=_parameters(instance),
            ),
        )


def _password(instance: DBInstance) -> str:
    if instance.manage_master_user_password:
        return str(json.loads(instance.master_user_secret.secret.secret_string or "{}")["password"])
    return str(instance.master_user_password)


def _parameters(instance: DBInstance) -> dict[str, str]:
    group = instance.backend.db_parameter_groups.get(_group(instance))
    return _values(group) if group is not None else {}


def _group(instance: DBInstance) -> str:
    return instance.db_parameter_group_name or ""


def _values(group: DBParameterGroup) -> dict[str, str]:
    held = group.parameters
    return {name: str(each["ParameterValue"]) for name, each in held.items() if "ParameterValue" in each}
