"""The Admin API of services and revisions: what is asked is checked, kept, and brought about by an operation."""

from __future__ import annotations

import copy
import secrets
import threading
from typing import TYPE_CHECKING, Any, Final

from tests import google_apis
from tests.rig.gcp.discovery import Failed
from tests.rig.gcp.run.instance import NotStarted
from tests.rig.gcp.run.model import DEFAULT_TRAFFIC, LATEST, Revision, Service, same

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.rig.gcp.discovery import Call, Directory
    from tests.rig.gcp.hosts import Hosts
    from tests.rig.gcp.operations import Operations
    from tests.rig.gcp.policies import Policies
    from tests.rig.gcp.run.controller import Controller

_KIND: Final = "google.cloud.run.v2.Service"
# 'Quotas and limits' (Cloud Run): revisions of a service; beyond it the oldest that nothing addresses go.
MOST_REVISIONS: Final = 1000


class Services:
    """All services, by their full names."""

    def __init__(
        self,
        directory: Directory,
        operations: Operations,
        policies: Policies,
        hosts: Hosts,
        *,
        number: str,
        accounts: Callable[[str], bool],
    ) -> None:
        self._operations, self._policies, self._hosts, self._number = operations, policies, hosts, number
        self._accounts = accounts
        self.kept: dict[str, Service] = {}
        self._lock = threading.Lock()
        self.controller: Controller
        self.most_revisions = MOST_REVISIONS
        directory.handle(
            "run.projects.locations.services",
            create=self._create, get=self._get, list=self._list, patch=self._patch, delete=self._delete,
            setIamPolicy=policies.change, getIamPolicy=policies.show,
        )  # fmt: skip
        directory.handle(
            "run.projects.locations.services.revisions",
            get=self._revision, list=self._revisions, delete=self._delete_revision,
        )  # fmt: skip

    def all(self) -> list[Service]:
        """Return every service."""
        return list(self.kept.values())

    def of_host(self, host: str) -> tuple[Service, str] | None:
        """Return the service that has a host, and the tag in it."""
        tag, dashes, _ = host.partition("---")
        for service in self.all():
            if host in service.hosts(tag if dashes else ""):
                return service, tag if dashes else ""
        return None

    def _create(self, call: Call) -> Any:
        name = f"{call['parent']}/services/{call.query.get('serviceId', '')}"
        if not call.query.get("serviceId"):
            raise Failed(400, "service_id: required")
        self._check(call.body)
        if call.query.get("validateOnly"):
            return {"done": True, "response": call.body}
        with self._lock:
            if name in self.kept:
                raise Failed(409, f"Resource '{name.rpartition('/')[2]}' already exists.", "ALREADY_EXISTS")
            service = self.kept[name] = Service(name=name, number=self._number, body={})
        self._hosts.add(*service.hosts())
        try:
            return self._change(service, call.body, forced=True)
        except Failed:
            del self.kept[name]
            raise

    def _get(self, call: Call) -> dict[str, Any]:
        return self._find(call["name"]).document()

    def _list(self, call: Call) -> dict[str, Any]:
        return {"services": [each.document() for each in self.all() if each.name.startswith(call["parent"])]}

    def _patch(self, call: Call) -> Any:
        if call["name"] not in self.kept and call.query.get("allowMissing"):
            parent, _, short = call["name"].rpartition("/services/")
            query = {"serviceId": short}
            return self._create(type(call)(**{**vars(call), "path": {"parent": parent}, "query": query}))
        service = self._find(call["name"])
        self._same_etag(service, call.body.get("etag"))
        given = {key: each for key, each in call.body.items() if key not in {"etag", "name"}}
        mask = [each for each in call.query.get("updateMask", "").split(",") if each]
        wanted = _masked(service.body, given, mask) if mask else given
        self._check(wanted)
        if call.query.get("validateOnly"):
            return {"done": True, "response": wanted}
        return self._change(service, wanted, forced=bool(call.query.get("forceNewRevision")))

    def _delete(self, call: Call) -> Any:
        service = self._find(call["name"])
        self._same_etag(service, call.query.get("etag"))

        def work() -> dict[str, Any]:
            with service.turn:
                service.deleted = True
                for revision in service.revisions.values():
                    self.controller.end(revision)
                self.kept.pop(service.name, None)
                self._policies.forget(service.name)
                return service.document()

        return self._begin(service, work)

    def _revision(self, call: Call) -> dict[str, Any]:
        return self._find_revision(call["name"])[1].document()

    def _revisions(self, call: Call) -> dict[str, Any]:
        service = self._find(call["parent"])
        # The newest first, as the API lists them.
        found = [each.document() for each in reversed(service.revisions.values())]
        size, begin = call.query.get("pageSize") or 100, int(call.query.get("pageToken") or 0)
        more = {"nextPageToken": str(begin + size)} if begin + size < len(found) else {}
        return {"revisions": found[begin : begin + size], **more}

    def _delete_revision(self, call: Call) -> Any:
        service, revision = self._find_revision(call["name"])
        if revision.name in {service.latest_created, *service.shares()}:
            raise Failed(400, f"Revision {revision.name} serves, or is the latest.", "FAILED_PRECONDITION")

        def work() -> dict[str, Any]:
            self.controller.end(revision)
            del service.revisions[revision.name]
            return revision.document()

        return self._begin(service, work)

    def _change(self, service: Service, wanted: Mapping[str, Any], *, forced: bool) -> Any:
        """Keep what is wanted, with a new revision if its template is new, and begin to bring it about."""
        with self._lock:
            template = copy.deepcopy(dict(wanted["template"]))
            latest = service.revisions.get(service.latest_created)
            revision = None
            if forced or latest is None or not same(template, latest.template) or _renamed(template, latest):
                revision = self._new_revision(service, template)
            service.body = copy.deepcopy(dict(wanted))
            service.state, service.message = "CONDITION_RECONCILING", ""
            service.touch()
            generation = service.generation
        return self._begin(service, lambda: self._reconcile(service, revision, generation))

    def _new_revision(self, service: Service, template: dict[str, Any]) -> Revision | None:
        name = template.get("revision") or f"{service.short}-{service.generation + 1:05}-{secrets.token_hex(2)[:3]}"
        if not name.startswith(f"{service.short}-"):
            raise Failed(400, f"The revision name must be prefixed by the name of the service: {service.short}-")
        known = service.revisions.get(name)
        if known is not None:
            if same(template, known.template):
                return None
            message = f"Revision named '{name}' with different configuration already exists."
            raise Failed(409, message, "ALREADY_EXISTS")
        made = service.revisions[name] = Revision(name=name, service=service.name, template=template)
        service.latest_created = name
        return made

    def _reconcile(self, service: Service, revision: Revision | None, generation: int) -> dict[str, Any]:
        with service.turn:
            try:
                if revision is not None:
                    self._start(service, revision)
                self._route(service)
                self.controller.settle(service)
            except Failed as failed:
                if generation == service.generation:
                    service.state, service.message, service.observed = "CONDITION_FAILED", failed.message, generation
                raise
            if generation == service.generation:
                service.state, service.observed = "CONDITION_SUCCEEDED", generation
            self._collect(service)
            return service.document()

    def _start(self, service: Service, revision: Revision) -> None:
        try:
            if not revision.template.get("healthCheckDisabled"):
                self.controller.check(service, revision)
        except NotStarted as error:
            revision.state = "CONDITION_FAILED"
            revision.message = f"Revision '{revision.name}' is not ready and cannot serve traffic. {error}"
            raise Failed(400, revision.message, "FAILED_PRECONDITION") from None
        revision.state = "CONDITION_SUCCEEDED"
        service.latest_ready = revision.name

    def _route(self, service: Service) -> None:
        """Put the traffic that was asked for in force. Raises Failed for a revision that is not there or not ready."""
        statuses = []
        for target in service.body.get("traffic") or DEFAULT_TRAFFIC:
            name = service.latest_ready if target["type"] == LATEST else target["revision"]
            revision = service.revisions.get(name)
            if revision is None:
                raise Failed(400, f"Revision {name} does not exist.", "NOT_FOUND")
            if revision.state != "CONDITION_SUCCEEDED":
                raise Failed(400, f"Revision {name} is not ready and cannot serve traffic.", "FAILED_PRECONDITION")
            statuses.append((dict(target), name))
        for target, _ in statuses:
            if "tag" in target:
                self._hosts.add(*service.hosts(target["tag"]))
        service.statuses = statuses

    def _collect(self, service: Service) -> None:
        """Delete the oldest revisions that nothing addresses, beyond the limit."""
        kept = {service.latest_created, service.latest_ready, *service.shares()}
        for name in [each for each in service.revisions if each not in kept]:
            if len(service.revisions) > self.most_revisions:
                self.controller.end(service.revisions.pop(name))

    def _begin(self, service: Service, work: Callable[[], Mapping[str, Any]]) -> Any:
        parent = service.name.partition("/services/")[0]
        return self._operations.begin(parent, work, kind=_KIND, metadata=service.document())

    def _check(self, wanted: Mapping[str, Any]) -> None:
        if "template" not in wanted:
            raise Failed(400, "template: required")
        account = wanted["template"].get("serviceAccount", "")
        if not self._accounts(account):
            raise Failed(
                403,
                f"Permission 'iam.serviceaccounts.actAs' denied on service account {account} (or it may not exist).",
            )
        wrong = google_apis.service_problems(dict(wanted))
        if wrong:
            raise Failed(400, "; ".join(wrong))

    @staticmethod
    def _same_etag(service: Service, etag: str | None) -> None:
        if etag not in (None, "", service.etag):
            raise Failed(409, f"The etag {etag} is not the resource's: it was changed meanwhile.")

    def _find(self, name: str) -> Service:
        if name not in self.kept:
            raise Failed(404, f"Resource '{name.rpartition('/')[2]}' of kind 'SERVICE' does not exist.")
        return self.kept[name]

    def _find_revision(self, name: str) -> tuple[Service, Revision]:
        parent, _, short = name.partition("/revisions/")
        service = self._find(parent)
        if short not in service.revisions:
            raise Failed(404, f"Resource '{short}' of kind 'REVISION' does not exist.")
        return service, service.revisions[short]


def _renamed(template: Mapping[str, Any], latest: Revision) -> bool:
    return template.get("revision") not in (None, "", latest.name)


def _masked(body: Mapping[str, Any], given: Mapping[str, Any], mask: list[str]) -> dict[str, Any]:
    """Return a body in which the fields of a mask are those that were given; one that was not given is cleared."""
    found = copy.deepcopy(dict(body))
    for path in mask:
        *folders, name = path.split(".")
        into, of = found, given
        for folder in folders:
            into, of = into.setdefault(folder, {}), of.get(folder, {})
        if name in of:
            into[name] = of[name]
        else:
            into.pop(name, None)
    return found
