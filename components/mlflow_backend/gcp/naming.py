"""The project and region of a backend on Google Cloud, and the names of its parts. Pure.

Every name is given, none is left to Google: whoever goes back to an older release must find the parts without Pulumi.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mlflow_backend.naming import labels, tags, truncated_name

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMITS: Final[Mapping[str, int]] = {
    # iam.v1, CreateServiceAccountRequest.accountId: 6 to 30 characters.
    "account": 30,
    # 'Bucket naming guidelines' (Cloud Storage): 3 to 63 characters.
    "bucket": 63,
    # 'Resource naming' (Compute Engine): RFC 1035, 63 characters.
    "network": 63,
    # redis.v1, projects.locations.instances.create: 1 to 40 characters.
    "cache": 40,
    # secretmanager.v1, projects.secrets.create: at most 255 characters.
    "secret": 255,
    # run.v2, Job.runExecutionToken: a job's name and the token of an execution are fewer than 63 characters together.
    "job": 50,
    # 'Instance settings' (Cloud SQL): project and instance are at most 98 characters together.
    "database": 98,
    # run.v2, projects.locations.services.create: fewer than 50 characters.
    "service": 49,
}
"""The longest name that each service accepts."""

# 'Deterministic URL' (Cloud Run, 'HTTPS requests'): [TAG---]SERVICE-NUMBER is one DNS label.
_LONGEST_LABEL: Final = 63
_TAG_LENGTH: Final = 9
_RELEASE_LENGTH: Final = _TAG_LENGTH - 1
_TAG: Final = re.compile(rf"r[0-9a-f]{{{_RELEASE_LENGTH}}}")


@dataclass(frozen=True, kw_only=True)
class Naming:
    """The names of one backend: of the component `name` in a stack. `number` is the project's."""

    stack_project: str
    stack: str
    name: str = "mlflow"
    project: str
    number: str
    region: str

    @property
    def parent(self) -> str:
        """What names of Cloud Run's own API begin with."""
        return f"projects/{self.project}/locations/{self.region}"

    def service(self) -> str:
        """Return the Cloud Run service's name, short enough that each revision's tag has a URL."""
        room = _LONGEST_LABEL - _TAG_LENGTH - len("---") - len("-") - len(self.number)
        return self._bounded(min(room, LIMITS["service"]))

    def revision(self, release: str) -> str:
        """Return the name of the revision of a release: the same release is the same revision, another never."""
        return f"{self.service()}-{self.tag(release)}"

    def tag(self, release: str) -> str:
        """Return the tag at whose URL a revision is verified; a tag begins with a letter."""
        return f"r{release[:_RELEASE_LENGTH]}"

    def tag_of(self, revision: str) -> str:
        """Return the tag of a revision; '' for one that was not deployed from here."""
        found = revision.removeprefix(f"{self.service()}-")
        return found if _TAG.fullmatch(found) else ""

    def url(self) -> str:
        """Return the service's URL, which is known before the service is there."""
        return f"https://{self.host()}"

    def host(self, tag: str = "") -> str:
        """Return the host of the service, or of the revision with a tag."""
        return f"{_tagged(tag)}{self.service()}-{self.number}.{self.region}.run.app"

    def hashed_hosts(self, tag: str = "") -> str:
        """Return the pattern of the service's other host: its hash is drawn by Google with the first deployment."""
        return f"{_tagged(tag)}{self.service()}-*.a.run.app"

    def job(self, part: str) -> str:
        """Return the name of a job."""
        return self._bounded(LIMITS["job"], part)

    def database(self) -> str:
        """Return the name of the database's instance."""
        return self._bounded(LIMITS["database"] - len(self.project) - 1)

    def cache(self) -> str:
        """Return the name of the cache's instance."""
        return self._bounded(LIMITS["cache"])

    def bucket(self) -> str:
        """Return the bucket's name. All projects of the world share one set of bucket names."""
        return self._bounded(LIMITS["bucket"], self.number)

    def secret(self, part: str) -> str:
        """Return the name of a secret: Cloud Run hands over a whole secret, so that each value has its own."""
        return self._bounded(LIMITS["secret"], part)

    def network(self, part: str = "") -> str:
        """Return the name of the network, or of a part of it."""
        return self._bounded(LIMITS["network"], *filter(None, [part]))

    def account(self, part: str) -> str:
        """Return the ID of a service account."""
        return self._bounded(LIMITS["account"], part)

    def member(self, part: str) -> str:
        """Return a service account as bindings name it."""
        return f"serviceAccount:{self.email(part)}"

    def email(self, part: str) -> str:
        """Return the address of a service account."""
        return f"{self.account(part)}@{self.project}.iam.gserviceaccount.com"

    def labels(self, own: Mapping[str, str]) -> dict[str, str]:
        """Return the labels of every resource that can have them."""
        return labels(tags(project=self.stack_project, stack=self.stack, own=own))

    def _bounded(self, limit: int, *parts: str) -> str:
        # Each of these names begins with a letter; a Pulumi project's may begin with a digit.
        first = (self.stack_project,) if self.stack_project[:1].isalpha() else ("m", self.stack_project)
        return truncated_name(*first, self.stack, self.name, *parts, limit=limit)


def _tagged(tag: str) -> str:
    return f"{tag}---" if tag else ""
