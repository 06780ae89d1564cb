"""The connection to AWS: one account for the provider, for dynamic resources and for what is checked beforehand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from mlflow_backend.aws.clients import config
from mlflow_backend.contract import Refused
from mlflow_backend.given_providers import has_provider

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pulumi
    import pulumi_aws as aws
    from botocore.config import Config

_PACKAGE = "aws"
_SESSION = "mlflow-backend"


@dataclass(frozen=True)
class Connection:
    """A region, and whose credentials are used in it.

    `profile` is one of the AWS configuration's, left out the environment decides; `role` is the ARN of a role that is
    taken by STS. Credentials themselves are never kept: each process gets them by these.
    """

    region: str
    profile: str | None = None
    role: str | None = None

    @classmethod
    def at(cls, document: Mapping[str, Any]) -> Connection:
        """Return the connection of a document, or of a locator, which has the same keys."""
        return cls(document["region"], document.get("profile"), document.get("role"))

    def document(self) -> dict[str, str]:
        """Return the connection as an input of a dynamic resource; it holds no credentials."""
        found = {"region": self.region, "profile": self.profile, "role": self.role}
        return {key: value for key, value in found.items() if value}

    def elsewhere(self, region: str) -> Connection:
        """Return the connection to another region, with the same credentials."""
        return replace(self, region=region)

    def client(self, service: str, *, configured_endpoint: bool = True) -> Any:
        """Return a boto3 client; each of its calls has a deadline. See clients.config."""
        how = config(self.region, configured_endpoint=configured_endpoint)
        return self._session().client(service, config=how)

    def provider(self, name: str, *, account: str, tags: Mapping[str, str]) -> aws.Provider:
        """Return the provider of everything on AWS: bound to this account and region, and to these tags."""
        import pulumi_aws as aws  # noqa: PLC0415 - it takes seconds, and a command needs none of it

        return aws.Provider(
            name,
            region=self.region,
            profile=self.profile,
            assume_roles=[{"role_arn": self.role, "session_name": _SESSION}] if self.role else None,
            allowed_account_ids=[account],
            default_tags={"tags": dict(tags)},
        )

    def _session(self) -> Any:
        # boto3 takes a third of a second to import, which a command that only prints its help need not wait for.
        import boto3  # noqa: PLC0415

        session = boto3.session.Session(botocore_session=_core(), profile_name=self.profile)
        if self.role is None:
            return session
        return boto3.session.Session(botocore_session=_assumed(session, self.role, config(self.region)))


def _core() -> Any:
    """Return a new botocore session, with credentials of its own, that reads no service's description again."""
    from botocore.session import get_session  # noqa: PLC0415 - as boto3

    found = get_session()
    found.register_component("data_loader", _descriptions())
    return found


@cache
def _descriptions() -> Any:
    # What AWS's services take and where they answer: a session of its own for each client read it each time, 50 ms.
    from botocore.session import get_session  # noqa: PLC0415 - as boto3

    return get_session().get_component("data_loader")


def _assumed(session: Any, role: str, how: Config) -> Any:
    """Return a botocore session with a role's credentials, which are renewed before they expire."""
    from botocore.credentials import (  # noqa: PLC0415 - as boto3
        AssumeRoleCredentialFetcher,
        DeferredRefreshableCredentials,
    )
    from botocore.exceptions import NoCredentialsError  # noqa: PLC0415

    own = session.get_credentials()
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=partial(session.client, config=how),
        source_credentials=own,
        role_arn=role,
        extra_args={"RoleSessionName": _SESSION},
    )

    def fetched() -> Any:
        if own is None:
            raise NoCredentialsError
        return fetcher.fetch_credentials()

    found = _core()
    # botocore has no public way to set credentials that renew themselves.
    found._credentials = DeferredRefreshableCredentials(fetched, "assume-role")  # noqa: SLF001
    return found


def refuse_provider(name: str, opts: pulumi.ResourceOptions | None) -> None:
    """Raise Refused for an AWS provider in `opts`, or inherited from the parent there."""
    if has_provider(opts, _PACKAGE):
        raise Refused(
            f"{name} was given an AWS provider, whose credentials its dynamic resources cannot have.",
            code="aws-provider-given",
            fix="Name region, profile and role in its `connection`, a `Connection`, which makes the provider too.",
        )
