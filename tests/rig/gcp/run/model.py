"""What Cloud Run keeps of a service: its body, its revisions, and which of them have traffic or a tag."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.rig.gcp.run.instance import Instance

LATEST: Final = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"
NAMED: Final = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
DEFAULT_TRAFFIC: Final[tuple[dict[str, Any], ...]] = ({"type": LATEST, "percent": 100},)
# 'Set maximum instances' (Cloud Run): what holds for a revision that says nothing.
_DEFAULT_MAXIMUM: Final = 100
_CODES: Final = {"europe-west1": "ew"}


def now() -> str:
    """Return the time as Google's APIs write it."""
    return dt.datetime.fromtimestamp(time.time(), dt.UTC).isoformat().replace("+00:00", "Z")


@dataclass(eq=False, kw_only=True)
class Revision:
    """One revision: its template never changes. `starts` are the seconds that its instances took to start."""

    name: str
    service: str
    template: dict[str, Any]
    created: str = field(default_factory=now)
    state: str = "CONDITION_RECONCILING"
    message: str = ""
    instances: list[Instance] = field(default_factory=list)
    starting: int = 0
    begun: list[Instance] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    lock: threading.Condition = field(default_factory=threading.Condition)

    @property
    def live(self) -> list[Instance]:
        """The instances that serve or could serve."""
        return [each for each in self.instances if not each.ended]

    @property
    def minimum(self) -> int:
        """Instances that this revision alone asks to keep."""
        return int(self.template.get("scaling", {}).get("minInstanceCount", 0))

    @property
    def maximum(self) -> int:
        """Instances that it may have."""
        return int(self.template.get("scaling", {}).get("maxInstanceCount", _DEFAULT_MAXIMUM))

    @property
    def concurrency(self) -> int:
        """Requests that an instance gets at a time."""
        return int(self.template.get("maxInstanceRequestConcurrency", 80))

    @property
    def timeout_s(self) -> float:
        """Seconds that a request may take."""
        return float(self.template.get("timeout", "300s").removesuffix("s"))

    def document(self) -> dict[str, Any]:
        """Return it as the API shows it."""
        ready = {"type": "Ready", "state": self.state, "message": self.message, "lastTransitionTime": self.created}
        body = {key: each for key, each in self.template.items() if key not in {"revision", "healthCheckDisabled"}}
        return {
            **body, "name": f"{self.service}/revisions/{self.name}", "service": self.service.rpartition("/")[2],
            "uid": hashlib.sha256(f"{self.service}{self.name}{self.created}".encode()).hexdigest()[:32],
            "createTime": self.created, "generation": "1", "observedGeneration": "1",
            "reconciling": self.state == "CONDITION_RECONCILING", "conditions": [ready],
            "etag": f'"{self.created}{self.state}"',
        }  # fmt: skip


@dataclass(eq=False, kw_only=True)
class Service:
    """One service. `statuses` is the traffic in force, each target with its revision; `body` what was asked for."""

    name: str
    number: str
    body: dict[str, Any]
    uid: str = field(default_factory=lambda: secrets.token_hex(16))
    created: str = field(default_factory=now)
    generation: int = 0
    observed: int = 0
    etag: str = ""
    revisions: dict[str, Revision] = field(default_factory=dict)
    latest_created: str = ""
    latest_ready: str = ""
    statuses: list[tuple[dict[str, Any], str]] = field(default_factory=list)
    state: str = "CONDITION_RECONCILING"
    message: str = ""
    deleted: bool = False
    # One change after the other is brought about, in the order of their calls.
    turn: threading.Lock = field(default_factory=threading.Lock)

    @property
    def short(self) -> str:
        """The last part of its name."""
        return self.name.rpartition("/")[2]

    @property
    def region(self) -> str:
        """Where it is."""
        return self.name.split("/")[3]

    @property
    def manual(self) -> int | None:
        """How many instances there are if they are not scaled by requests, none for instance."""
        scaling = self.body.get("scaling", {})
        return int(scaling.get("manualInstanceCount", 0)) if scaling.get("scalingMode") == "MANUAL" else None

    @property
    def iap(self) -> str:
        """What IAP calls it."""
        return f"projects/{self.number}/iap_web/cloud_run-{self.region}/services/{self.short}"

    def touch(self) -> None:
        """Note that it is another one now."""
        self.generation += 1
        self.etag = f'"{secrets.token_hex(8)}"'

    def hosts(self, tag: str = "") -> tuple[str, str]:
        """Return both hosts of the service, or of one of its tags ('Deterministic URL', Cloud Run)."""
        front = f"{tag}---{self.short}" if tag else self.short
        # The same service in the same project has the same hash.
        drawn = hashlib.sha256(f"{self.number}{self.short}".encode()).hexdigest()[:10]
        return f"{front}-{self.number}.{self.region}.run.app", f"{front}-{drawn}-{_CODES[self.region]}.a.run.app"

    def tags(self) -> dict[str, str]:
        """Return the tags in force, each with its revision."""
        return {target["tag"]: revision for target, revision in self.statuses if "tag" in target}

    def shares(self) -> dict[str, int]:
        """Return the revisions that have a share of the traffic, or are in it with none, and how much."""
        found: dict[str, int] = {}
        for target, revision in self.statuses:
            found[revision] = found.get(revision, 0) + target.get("percent", 0)
        return found

    def by_tag_alone(self, revision: Revision) -> bool:
        """Return whether a revision is reached at a tag, and has no share of the traffic."""
        return revision.name in self.tags().values() and not self.shares().get(revision.name)

    def warm(self, revision: Revision) -> int:
        """Return how many instances are kept: the revision's own minimum if it is addressed, the service's by share."""
        shares = self.shares()
        own = revision.minimum if revision.name in shares else 0
        if self.manual is not None:
            return own if self.by_tag_alone(revision) else -(-self.manual * shares.get(revision.name, 0) // 100)
        whole = int(self.body.get("scaling", {}).get("minInstanceCount", 0))
        return max(own, -(-whole * shares.get(revision.name, 0) // 100))

    def most(self, revision: Revision) -> int:
        """Return how many instances a revision may have: its own maximum and the service's, or the manual number."""
        if self.manual is not None:
            return max(self.warm(revision), int(self.by_tag_alone(revision)))
        return min(revision.maximum, int(self.body.get("scaling", {}).get("maxInstanceCount", _DEFAULT_MAXIMUM)))

    def document(self) -> dict[str, Any]:
        """Return it as the API shows it."""
        host, hashed = self.hosts()
        known = {
            "name": self.name, "uid": self.uid, "createTime": self.created, "updateTime": now(), "etag": self.etag,
            "generation": str(self.generation), "observedGeneration": str(self.observed),
            "reconciling": self.state == "CONDITION_RECONCILING", "uri": f"https://{hashed}",
            "urls": [f"https://{host}", f"https://{hashed}"],
            "terminalCondition": {"type": "Ready", "state": self.state, "message": self.message},
            "trafficStatuses": [
                {**target, "uri": f"https://{self.hosts(target['tag'])[1]}"} if "tag" in target else dict(target)
                for target, _ in self.statuses
            ],
        }  # fmt: skip
        named = {"latestCreatedRevision": self.latest_created, "latestReadyRevision": self.latest_ready}
        # What nobody set is shown: the instances of the service above all (csoh.org's PR 665: a lasting difference).
        scaling = {"minInstanceCount": 0, **self.body.get("scaling", {})}
        found = {**self.body, "scaling": scaling, "traffic": self.body.get("traffic") or list(DEFAULT_TRAFFIC)}
        return {**found, **known, **{key: f"{self.name}/revisions/{each}" for key, each in named.items() if each}}


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two templates are one revision's."""
    return _plain(one) == _plain(other)


def _plain(template: Mapping[str, Any]) -> str:
    return json.dumps({key: each for key, each in template.items() if key != "revision"}, sort_keys=True)
