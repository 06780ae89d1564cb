"""Emulated Google Cloud that runs revisions for real, put together."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlencode

import urllib3

from tests.rig.authority import Authority
from tests.rig.gcp import discovery, edge
from tests.rig.gcp.accounts import Accounts
from tests.rig.gcp.alerts import Alerts
from tests.rig.gcp.discovery import Directory, Failed
from tests.rig.gcp.engines import Caches, Databases
from tests.rig.gcp.hosts import Hosts
from tests.rig.gcp.logs import Logs
from tests.rig.gcp.metadata import Metadata
from tests.rig.gcp.operations import Operations
from tests.rig.gcp.policies import Policies
from tests.rig.gcp.project import Networks, Project
from tests.rig.gcp.registry import Registry
from tests.rig.gcp.run.controller import Controller
from tests.rig.gcp.run.instance import Instance, Machinery
from tests.rig.gcp.run.jobs import Jobs
from tests.rig.gcp.run.services import Services
from tests.rig.gcp.run.traffic import Traffic
from tests.rig.gcp.scheduler import Scheduler
from tests.rig.gcp.secrets import Secrets
from tests.rig.gcp.storage import Storage
from tests.rig.gcp.tokens import Tokens
from tests.rig.loopback import Block
from tests.rig.patches import Patches

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from tests.rig.clock import Clock
    from tests.rig.gcp.edge import Exchange

PROJECT, NUMBER, REGION = "team-project", "123456789012", "europe-west1"
ADMINISTRATOR: Final = f"administrator@{PROJECT}.iam.gserviceaccount.com"
_OAUTH: Final = "oauth2.googleapis.com"
# Callers other than the administrator may ask for these; what they get is decided there.
_OPEN: Final = (
    "storage.objects.", "secretmanager.projects.secrets.versions.access", "run.projects.locations.jobs.run",
)  # fmt: skip
_DEADLINE_S: Final = 120


class GcpRig:
    """One project in one region, empty.

    `environment` is what a process needs to be its administrator, and `command` makes its names resolve. A test
    asserts `live`, so that no old instance answers for a new one.
    """

    project, number, region = PROJECT, NUMBER, REGION

    def __init__(self, folder: Path, clock: Clock) -> None:
        """Start it."""
        self._patches = Patches()
        try:
            self._start(folder, clock)
        except BaseException:
            self._patches.close()
            raise

    def _start(self, folder: Path, clock: Clock) -> None:
        patches, self.clock = self._patches, clock
        block = patches.enter_context(Block())
        self.address = block.address()
        self.authority = Authority(folder / "authority")
        self.hosts = Hosts(folder / "hosts", self.address)
        self.tokens, self.policies = Tokens(ADMINISTRATOR), Policies(ADMINISTRATOR)
        self._key = self.tokens.key_file(folder, ADMINISTRATOR, project=PROJECT)
        self.directory, operations = Directory(), Operations()
        self.registry = Registry(self.tokens, project=PROJECT, region=REGION)
        self.secrets = Secrets(self.directory, self.policies, project=PROJECT, number=NUMBER)
        self.accounts = Accounts(self.directory, self.policies, project=PROJECT)
        self.logs, self.alerts = Logs(self.directory, project=PROJECT), Alerts(self.directory)
        self.metadata = Metadata(patches, block, self.tokens, project=PROJECT, number=NUMBER, region=REGION)
        machinery = Machinery(
            folder=folder / "instances", block=block, registry=self.registry, secrets=self.secrets,
            metadata=self.metadata, hosts=self.hosts, authority=self.authority, clock=clock,
        )  # fmt: skip
        self.services = Services(
            self.directory, operations, self.policies, self.hosts, number=NUMBER, accounts=self.accounts.exists
        )
        self.controller = self.services.controller = Controller(machinery, self.logs, self.services.all)
        self.jobs = Jobs(self.directory, operations, self.policies, machinery, self.logs)
        patches.callback(operations.close)
        patches.callback(self.controller.close)
        patches.callback(self.jobs.close)
        self.directory.handle("iap", setIamPolicy=self.policies.change, getIamPolicy=self.policies.show)
        self.directory.handle("run.projects.locations.operations", get=operations.get, wait=operations.get)
        self.storage = Storage(self.directory, self.policies, number=NUMBER)
        self.networks = Networks(self.directory, operations, project=PROJECT, number=NUMBER)
        self.account = Project(self.directory, operations, self.tokens, project=PROJECT, number=NUMBER)
        join = self.networks.join
        self.databases = Databases(self.directory, block, self.authority, folder / "databases", join=join)
        patches.callback(self.databases.close)
        self.caches = Caches(self.directory, operations, block, self.authority, folder / "caches", join=join)
        patches.callback(self.caches.close)
        self.scheduler = Scheduler(self.directory, self._ask_as, exists=self.accounts.exists)
        self._traffic = Traffic(self.services, self.controller, self.tokens, self.policies)
        self._serve(patches)

    def _serve(self, patches: Patches) -> None:
        names = (*discovery.hosts(), _OAUTH, self.registry.host)
        self.hosts.add(*names)
        certificate, key = self.authority.certificate(
            self.address, "*.googleapis.com", f"*.{REGION}.run.app", "*.a.run.app", "*.pkg.dev"
        )
        context = edge.context(certificate, key)
        edge.serve(patches, self.address, self._part, context)
        edge.serve(patches, self.address, self._part)

    def _part(self, host: str) -> Callable[[Exchange], None] | None:
        if host.endswith(".run.app"):
            return self._traffic.answer
        if host == _OAUTH:
            return self._login
        if host == self.registry.host:
            return self.registry.answer
        return self._api if host in discovery.hosts() else None

    def _login(self, exchange: Exchange) -> None:
        if exchange.url.path != "/token":
            raise Failed(404, f"there is no {exchange.url.path}")
        exchange.say(200, self.tokens.exchange(dict(parse_qsl(exchange.body().decode()))))

    def _api(self, exchange: Exchange) -> None:
        raw = exchange.body()
        caller = self.tokens.caller(exchange.headers.get("Authorization", ""))
        url = exchange.url
        answer = self.directory.answer(
            exchange.host, exchange.command, url.path, url.query, raw, caller=caller,
            headers={name.title(): each for name, each in exchange.headers.items()},
            may=lambda method: caller == ADMINISTRATOR or method.startswith(_OPEN),
        )  # fmt: skip
        if isinstance(answer, discovery.Media):
            exchange.say(answer.status, answer.content, **answer.headers)
        else:
            exchange.say(200, answer)

    def _ask_as(self, host: str, method: str, path: str, body: bytes, who: str) -> Any:
        return self.directory.answer(
            host, method, path, "", body, caller=who, headers={}, may=lambda name: name.startswith(_OPEN)
        )

    def root(self, api: str) -> str:
        """Return the root URL of an API, such as run.v2, for who does not see the rig's names."""
        return f"http://{self.address}/{api.partition('.')[0]}.googleapis.com/"

    @property
    def endpoints(self) -> str:
        """The product's variable MLFLOW_BACKEND_GCP_ENDPOINTS, for who does not see the rig's names."""
        return json.dumps({host: f"http://{self.address}/{host}/" for host in discovery.hosts()})

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to call it as its administrator, under `command`."""
        bundle = str(self.authority.bundle)
        return {
            "GOOGLE_APPLICATION_CREDENTIALS": str(self._key), "GOOGLE_CLOUD_PROJECT": PROJECT,
            "SSL_CERT_FILE": bundle, "REQUESTS_CA_BUNDLE": bundle,
        }  # fmt: skip

    def command(self, *argv: str) -> list[str]:
        """Return a command that sees the rig's names."""
        return self.hosts.command(argv)

    def call(
        self, method: str, path: str, body: Any = None, *, api: str = "run.v2", who: str = ADMINISTRATOR, **query: str
    ) -> dict[str, Any]:
        """Call an API as somebody, and return the answer. Raises Failed for an error."""
        url = f"{self.root(api)}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {"Authorization": f"Bearer {self.tokens.access(who)}"}
        answer = urllib3.request(method, url, json=body, headers=headers, retries=False, timeout=_DEADLINE_S)
        document: dict[str, Any] = json.loads(answer.data or b"{}")
        if answer.status >= 400:
            error = document["error"]
            raise Failed(error["code"], error["message"], error["status"])
        return document

    def ask(self, url: str, method: str = "GET", *, timeout_s: float = _DEADLINE_S, **options: Any) -> Any:
        """Ask a run.app URL as somebody outside does, and return urllib3's answer."""
        host, _, path = url.removeprefix("https://").partition("/")
        headers: Mapping[str, str] = {"Host": host, **options.pop("headers", {})}
        pool = urllib3.HTTPSConnectionPool(
            self.address, 443, ca_certs=str(self.authority.bundle), server_hostname=host, assert_hostname=host
        )
        with pool:
            return pool.request(
                method, f"/{path}", headers=headers, timeout=timeout_s, retries=False, redirect=False, **options
            )

    def metadata_of(self, host: str) -> dict[str, Any]:
        """Return what a metadata server says to a container."""
        root = f"http://{host}/computeMetadata/v1/instance/service-accounts/default"

        def ask(path: str, **headers: str) -> Any:
            return urllib3.request("GET", f"{root}{path}", headers=headers, retries=False, timeout=_DEADLINE_S)

        google = {"Metadata-Flavor": "Google"}
        return {
            **json.loads(ask("/token", **google).data), "email": ask("/email", **google).data.decode(),
            "identity": ask("/identity?audience=https://somewhere", **google).data.decode(),
            "without the header": ask("/token").status,
        }  # fmt: skip

    @property
    def live(self) -> list[Instance]:
        """The instances that have a process, of services and of jobs."""
        return [*self.controller.live(), *self.jobs.live()]

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
