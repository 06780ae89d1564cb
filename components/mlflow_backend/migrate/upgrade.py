"""The consequences of an upgrade of MLflow: what is pending, lost and gained, and what going back costs. Pure."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.migrate import locations
from mlflow_backend.migrate.side_by_side import MEASURED
from mlflow_backend.releases.plan import restore_s
from mlflow_backend.schema import Direction
from mlflow_backend.verify.clients.differences import DIFFERENCES, difference
from mlflow_backend.vulnerabilities.table import of_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mlflow_backend.migrate.forecast import Forecast
    from mlflow_backend.server import MlflowVersion

ACCESS: Final = '"kind":"access"'
"""What a line of the access log has in it, as the server writes it (mlflow_backend_server.http.record)."""


@dataclass(frozen=True, kw_only=True)
class Upgrade:
    """From the version `served` to the version `to`.

    `roots` counts by table where artifacts are kept (migrate.locations); it is empty if that could not be asked, and
    `not_asked` says why. `store` is the address of the artifacts that the settings name. `clients` counts requests by
    version of MLflow's client. `dump_bytes` is the size of the newest dump, `migration_s` what the last migration took,
    and `drill_s` what the last drill of a backup took until its server was verified; None if it is not known.
    `locked` is whether this project has the lock of `to`, without which no server of it is installed.
    """

    served: MlflowVersion
    to: MlflowVersion
    forecast: Forecast
    store: str
    roots: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    not_asked: str = ""
    clients: Mapping[str, int] = field(default_factory=dict)
    dump_bytes: int | None = None
    migration_s: float | None = None
    drill_s: float | None = None
    locked: bool = True

    @property
    def left(self) -> tuple[str, ...]:
        """The known vulnerabilities that the upgrade ends."""
        return tuple(sorted({row.id for row in of_version(self.served)} - {row.id for row in of_version(self.to)}))

    @property
    def gained(self) -> tuple[str, ...]:
        """Those that it brings."""
        return tuple(sorted({row.id for row in of_version(self.to)} - {row.id for row in of_version(self.served)}))

    @property
    def kept(self) -> tuple[str, ...]:
        """Those that both versions have."""
        return tuple(sorted({row.id for row in of_version(self.to)} & {row.id for row in of_version(self.served)}))

    @property
    def refused(self) -> dict[str, Mapping[str, int]]:
        """The roots by table that the new version refuses and the old one does not."""
        return {
            table: locations.refused(counts, served=self.served, to=self.to) for table, counts in self.roots.items()
        }

    @property
    def outside(self) -> dict[str, Mapping[str, int]]:
        """The roots by table that are not in the store that the settings name."""
        return {table: locations.outside(counts, store=self.store) for table, counts in self.roots.items()}

    @property
    def rollback(self) -> str:
        """What going back after it costs."""
        if self.forecast.direction is Direction.EQUAL:
            return "nothing is restored: both versions have the same schema"
        if self.forecast.direction is Direction.UNKNOWN:
            return "not known: whether the schema changes is not known"
        known = self.dump_bytes is not None
        time = f", in about {restore_s(self.dump_bytes or 0):.0f} s by the newest dump's size" if known else ""
        drilled = "" if self.drill_s is None else f"; the last drill of a backup took {self.drill_s:.0f} s"
        return f"the dump that is taken first is restored{time}{drilled}; what is written after it is lost"

    @property
    def beside(self) -> str:
        """Whether servers of both versions may serve at once, as a rolling update has them."""
        found = MEASURED.get((_text(self.served), _text(self.to)))
        if found is None:
            return f"not known; measured: {', '.join(' to '.join(pair) for pair in MEASURED)}"
        if found.works:
            return f"yes: of {found.requests} requests during a rolling update none failed"
        return f"no: of {found.requests} requests during a rolling update {found.failed} failed ({found.why})"

    def lost_by(self, client: str) -> tuple[str, ...]:
        """What a client can do now and cannot after the upgrade."""
        served, to = _text(self.served), _text(self.to)
        names = dict.fromkeys(each.action for each in DIFFERENCES)
        return tuple(
            name
            for name in names
            if difference(name, client=client, server=to) and not difference(name, client=client, server=served)
        )

    def document(self) -> dict[str, Any]:
        """Return it as JSON-like data."""
        return {
            "from": _text(self.served),
            "to": _text(self.to),
            "locked": self.locked,
            "schema": self.forecast.document(),
            "lastMigrationSeconds": self.migration_s,
            "vulnerabilities": {"left": list(self.left), "gained": list(self.gained), "kept": list(self.kept)},
            "refusedLocations": {table: dict(counts) for table, counts in self.refused.items()},
            "store": self.store,
            "outsideLocations": {table: dict(counts) for table, counts in self.outside.items()},
            "boundLocations": {table: dict(locations.bound(counts)) for table, counts in self.roots.items()},
            "locationsNotAsked": self.not_asked,
            "clients": {
                client: {"requests": count, "loses": list(self.lost_by(client))}
                for client, count in self.clients.items()
            },
            "sideBySide": self.beside,
            "rollback": self.rollback,
        }

    def lines(self) -> list[str]:
        """Return it for people."""
        schema = self.forecast.document()
        lock = () if self.locked else (f"lock       none: `python -m scripts.lock_server {_text(self.to)}` makes it",)
        unknown = self.forecast.direction is Direction.UNKNOWN
        downtime = "not known: whether the schema changes is not known" if unknown else "none: nothing is migrated"
        last = "" if self.migration_s is None else f"; the last migration took {self.migration_s:.0f} s"
        return [
            f"from       MLflow {_text(self.served)} to {_text(self.to)}",
            *lock,
            f"schema     {schema['schema']}",
            *(f"pending    {revision}" for revision in schema.get("pending", ())),
            f"downtime   {schema.get('downtime', downtime)}{last}",
            f"beside     {self.beside}",
            f"rollback   {self.rollback}",
            f"known      left: {_listed(self.left)}; gained: {_listed(self.gained)}; kept: {_listed(self.kept)}",
            *(f"artifacts  {line}" for line in self._locations()),
            *self._clients(),
        ]

    def summary(self) -> tuple[str, ...]:
        """Return what a preview says besides the migration: nothing that would have to be asked of a server."""
        return (
            f"known vulnerabilities: left: {_listed(self.left)}; gained: {_listed(self.gained)}",
            f"old and new servers at once: {self.beside}",
            *(f"artifacts: {line}" for line in (*self._refused(), *self._outside())),
            f"clients, and the rest of the plan: python -m scripts.upgrade --stack STACK --to {_text(self.to)}",
        )

    def _locations(self) -> list[str]:
        if self.not_asked:
            return [f"not asked: {self.not_asked}"]
        lines = [*self._refused(), *self._outside()]
        lines += [
            f"{table.replace('_', ' ')} at {root}: {count}, bound to it whatever the settings say later"
            for table, counts in self.roots.items()
            for root, count in locations.bound(counts).items()
            if root not in self.refused[table] and root not in self.outside[table]
        ]
        return lines or ["no stored location is refused, and none is bound to a bucket or a host"]

    def _refused(self) -> list[str]:
        return [
            f"{table.replace('_', ' ')} at {root}: {count}, whose location MLflow {_text(self.to)} refuses"
            for table, counts in self.refused.items()
            for root, count in counts.items()
        ]

    def _outside(self) -> list[str]:
        return [
            f"{table.replace('_', ' ')} at {root}: {count}, outside {self.store}, which the settings name"
            for table, counts in self.outside.items()
            for root, count in counts.items()
            if root not in self.refused[table]
        ]

    def _clients(self) -> list[str]:
        if not self.clients:
            return ["clients    none in the last lines of the access log"]
        return [
            f"clients    {client}: loses {_listed(self.lost_by(client))} (requests: {count})"
            for client, count in self.clients.items()
        ]


def clients_in(log: Iterable[str]) -> dict[str, int]:
    """Count the requests of each version of MLflow's client among lines of a log, oldest version first.

    A platform may have written something before each line.
    """
    found: Counter[str] = Counter()
    for line in log:
        if ACCESS in line:
            try:
                entry = json.loads(line[line.index("{") :])
            except ValueError:
                continue
            if isinstance(entry, dict) and entry.get("mlflow_client"):
                found[str(entry["mlflow_client"])] += 1
    return dict(sorted(found.items(), key=lambda item: [part.zfill(6) for part in item[0].split(".")]))


def _text(version: MlflowVersion) -> str:
    return ".".join(map(str, version))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
