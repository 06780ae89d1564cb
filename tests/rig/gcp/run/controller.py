"""Instances of every revision: started for a deployment, for requests and for a minimum, and ended when idle."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from tests.rig.gcp.discovery import Failed
from tests.rig.gcp.run.instance import Instance, Machinery, NotStarted
from tests.rig.loops import Loop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.rig.gcp.logs import Logs
    from tests.rig.gcp.run.model import Revision, Service

_TICK_S: Final = 0.05
# 'About instance autoscaling in Cloud Run services': an idle instance goes after 15 minutes at the latest.
IDLE_S: Final = 240
# The same page: requests wait for 3.5 times the average start, or for 10 seconds, whichever is longer.
_STARTS: Final = 3.5
_PENDING_S: Final = 10
# Where no instance has started yet: as long as a start may take ('Quotas and limits').
_LONGEST_START_S: Final = 240


class Controller:
    """Keeps instances. `services` gives all services, again at each look."""

    def __init__(self, machinery: Machinery, logs: Logs, services: Callable[[], Iterable[Service]]) -> None:
        self._machinery, self._logs, self._services = machinery, logs, services
        self._threads: list[threading.Thread] = []
        self._closed = False
        self._loop = Loop("instances", self._look, pause_s=_TICK_S)

    def check(self, service: Service, revision: Revision) -> None:
        """Start the first instance of a new revision, which says whether it is ready. Raises NotStarted."""
        with revision.lock:
            revision.starting += 1
        self._start(service, revision, raises=True)

    def acquire(self, service: Service, revision: Revision) -> Instance:
        """Return an instance for one more request, started if need be. Raises Failed with 429 if there is none."""
        average = sum(revision.starts) / len(revision.starts) if revision.starts else 0.0
        patience = max(_PENDING_S, _STARTS * average) if average else self._machinery.clock.within(_LONGEST_START_S)
        until = time.monotonic() + patience
        with revision.lock:
            while time.monotonic() < until and not self._closed:
                free = [each for each in revision.live if each.ready and each.outstanding < revision.concurrency]
                if free:
                    chosen = min(free, key=lambda each: each.outstanding)
                    chosen.outstanding += 1
                    return chosen
                if len(revision.live) + revision.starting < service.most(revision) and not revision.starting:
                    self._begin(service, revision)
                revision.lock.wait(_TICK_S)
        raise Failed(429, "The request was aborted because there was no available instance.")

    def release(self, revision: Revision, instance: Instance) -> None:
        """Take a request's end to note."""
        with revision.lock:
            instance.outstanding -= 1
            instance.idle_since = time.monotonic()
            revision.lock.notify_all()

    def settle(self, service: Service) -> None:
        """Wait until a service that is scaled by hand has no more instances than it should."""
        until = time.monotonic() + self._machinery.clock.within(_LONGEST_START_S)
        while service.manual is not None and time.monotonic() < until and not self._closed:
            if all(len(each.live) <= service.most(each) for each in service.revisions.values()):
                return
            threading.Event().wait(_TICK_S)

    def end(self, revision: Revision) -> None:
        """End every instance of a revision."""
        for each in (*revision.begun, *revision.live):
            each.end()

    def live(self) -> list[Instance]:
        """Return every instance that has a process."""
        return [each for service in self._services() for one in service.revisions.values() for each in one.live]

    def close(self) -> None:
        """End everything."""
        self._closed = True
        self._loop.stop()
        for service in self._services():
            for revision in service.revisions.values():
                for begun in list(revision.begun):
                    begun.end(grace_s=0)
        for thread in self._threads:
            thread.join()
        for each in self.live():
            each.end(grace_s=0)
        self._loop.check()

    def _look(self) -> None:
        for service in list(self._services()):
            for revision in list(service.revisions.values()):
                if revision.state == "CONDITION_SUCCEEDED" and not service.deleted:
                    self._keep(service, revision)

    def _keep(self, service: Service, revision: Revision) -> None:
        for each in revision.live:
            if not each.alive:
                each.end(grace_s=0)
            elif each.started:
                each.look()
        warm = min(service.warm(revision), service.most(revision))
        with revision.lock:
            live = revision.live
            revision.instances = live
            if len(live) + revision.starting < warm:
                self._begin(service, revision)
                return
            idle = sorted((each for each in live if not each.outstanding), key=lambda each: each.idle_since)
            kept = self._machinery.clock.every(IDLE_S)
            over = [each for each in idle if time.monotonic() - each.idle_since > kept]
            # Without scaling by requests, what is too much is asked to end at once.
            by_requests = service.manual is None or service.by_tag_alone(revision)
            gone = (over if by_requests else live)[: max(0, len(live) - warm)]
        for each in gone:
            each.end()

    def _begin(self, service: Service, revision: Revision) -> None:
        revision.starting += 1
        thread = threading.Thread(target=self._start, args=(service, revision), name=f"start {revision.name}")
        self._threads.append(thread)
        thread.start()

    def _start(self, service: Service, revision: Revision, *, raises: bool = False) -> None:
        began = time.monotonic()
        instance = Instance(
            machinery=self._machinery,
            template=revision.template,
            variables={"K_SERVICE": service.short, "K_REVISION": revision.name, "K_CONFIGURATION": service.short},
            said=self._logs.writer(
                "cloud_run_revision", service_name=service.short, revision_name=revision.name, location=service.region
            ),
        )
        revision.begun.append(instance)
        try:
            # Whoever ended what had begun has not seen this one.
            if service.deleted or self._closed:
                raise NotStarted("The service was deleted.")  # noqa: TRY301 - handled as any other
            instance.start()
        except NotStarted as error:
            self._logs.writer("cloud_run_revision", service_name=service.short, revision_name=revision.name)(
                "platform", str(error)
            )
            if raises:
                raise
            # The next one is not tried at once.
            threading.Event().wait(_TICK_S * 10)
        finally:
            with revision.lock:
                revision.starting -= 1
                revision.begun.remove(instance)
                if instance.started:
                    revision.instances.append(instance)
                    revision.starts.append(time.monotonic() - began)
                revision.lock.notify_all()
            if instance.started and (service.deleted or self._closed):
                instance.end()
