"""Cloud Monitoring: alert policies and the channels that they go to, kept under the names that it draws."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

from tests.rig.gcp.discovery import Failed

if TYPE_CHECKING:
    from tests.rig.gcp.discovery import Call, Directory

_LONGEST_ABSENCE_S: Final = 84_600
_KINDS: Final = ("alertPolicies", "notificationChannels")


class Alerts:
    """Those of one project, by their names."""

    def __init__(self, directory: Directory) -> None:
        self.kept: dict[str, dict[str, Any]] = {}
        self._numbers = itertools.count(1)
        for kind in _KINDS:
            directory.handle(
                f"monitoring.projects.{kind}",
                create=self._maker(kind), get=self._get, patch=self._patch, delete=self._delete,
            )  # fmt: skip

    def _maker(self, kind: str) -> Any:
        def make(call: Call) -> dict[str, Any]:
            self._check(call.body)
            name = f"{call['name']}/{kind}/{next(self._numbers)}"
            self.kept[name] = {**call.body, "name": name}
            return self.kept[name]

        return make

    def _check(self, body: dict[str, Any]) -> None:
        for condition in body.get("conditions", []):
            # monitoring.v3, MetricThreshold.comparison and AlertStrategy.notificationRateLimit.
            threshold = condition.get("conditionThreshold", {"comparison": "COMPARISON_GT"})
            if threshold.get("comparison") not in {"COMPARISON_GT", "COMPARISON_LT"}:
                raise Failed(400, "Only COMPARISON_LT and COMPARISON_GT are supported currently.")
            if ("conditionMatchedLog" in condition) != ("notificationRateLimit" in body.get("alertStrategy", {})):
                raise Failed(400, "a limit of messages belongs to conditions on log lines, and each of these has one")
            # 'Create metric-absence alerting policies': 23.5 hours at most.
            if int(condition.get("conditionAbsent", {}).get("duration", "0s")[:-1]) > _LONGEST_ABSENCE_S:
                raise Failed(400, "the duration of an absence is at most 23 hours and 30 minutes")
        for channel in body.get("notificationChannels", []):
            self._find(channel)

    def _get(self, call: Call) -> dict[str, Any]:
        return self._find(call["name"])

    def _patch(self, call: Call) -> dict[str, Any]:
        found = self._find(call["name"])
        self._check({**found, **call.body})
        found.update(call.body)
        return found

    def _delete(self, call: Call) -> dict[str, Any]:
        del self.kept[self._find(call["name"])["name"]]
        return {}

    def _find(self, name: str) -> dict[str, Any]:
        if name not in self.kept:
            raise Failed(404, f"Cannot find {name}")
        return self.kept[name]
