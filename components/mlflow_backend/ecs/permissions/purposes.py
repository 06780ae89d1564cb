"""What each workflow's role may do: the grants of its purpose, from the stack's settings. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mlflow_backend.aws.permissions import data, network
from mlflow_backend.aws.permissions.grant import ALL, LOOKS, Grant, Purpose
from mlflow_backend.ecs.permissions import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.settings import Settings


@dataclass(frozen=True, kw_only=True)
class PulumiState:
    """Where Pulumi keeps the stacks: a bucket, the prefix in it ('' for none), and the KMS key of their secrets.

    `key` is an ARN of a key; None if it is not said.
    """

    bucket: str
    prefix: str = ""
    key: str | None = None

    @classmethod
    def at(cls, address: str, *, key: str | None = None) -> PulumiState:
        """Return the state of an address such as `s3://BUCKET/PREFIX`. Raises ValueError for any other kind."""
        url = urlsplit(address)
        if url.scheme != "s3" or not url.netloc:
            raise ValueError(f"{address} is no address such as s3://YOUR-STATE-BUCKET")
        return cls(bucket=url.netloc, prefix=url.path.strip("/"), key=key)


def role_name(naming: Naming, purpose: Purpose) -> str:
    """Return the name of the role that a workflow of this purpose takes."""
    return naming.role(f"for-{purpose}")


def grants(
    settings: Settings, naming: Naming, purpose: Purpose, *, state: PulumiState | None = None
) -> tuple[Grant, ...]:
    """Return what a role of a purpose may do with a stack's backend, least privilege by ARN.

    `state` adds what Pulumi needs to keep the stack; without it these are the permissions on the backend alone.
    """
    every = [*network.grants(settings, naming), *data.grants(settings, naming), *serving.grants(settings, naming)]
    found = [each for each in every if purpose in each.purposes]
    found += [each for each in _state(naming, state) if state is not None and purpose in each.purposes]
    found += [each for each in _oneself(naming, purpose) if purpose in each.purposes]
    return tuple(found)


def actions_of(found: tuple[Grant, ...]) -> tuple[str, ...]:
    """Return the names of all actions of grants, each once."""
    return tuple(sorted({action for grant in found for action in grant.actions}))


def _oneself(naming: Naming, purpose: Purpose) -> Iterator[Grant]:
    yield Grant(
        sid="AskAboutOneself",
        purposes=ALL,
        # `scripts/doctor.py` asks IAM what is missing.
        actions=("iam:SimulatePrincipalPolicy",),
        resources=(naming.global_arn("iam", f"role/{role_name(naming, purpose)}"),),
    )


def _state(naming: Naming, state: PulumiState | None) -> Iterator[Grant]:
    if state is None:
        return
    bucket, below = state.bucket, f"/{state.prefix}" if state.prefix else ""
    everything = f"{state.prefix}/.pulumi" if state.prefix else ".pulumi"
    yield Grant(
        sid="ListState",
        purposes=LOOKS,
        actions=("s3:ListBucket",),
        resources=(naming.bucket_arn(bucket),),
        conditions={"StringLike": {"s3:prefix": [everything, f"{everything}/*"]}},
    )
    yield Grant(
        sid="ReadState",
        purposes=LOOKS,
        actions=("s3:GetObject",),
        resources=(naming.bucket_arn(bucket, f"{below}/.pulumi/*"),),
    )
    yield Grant(
        sid="LockState",
        purposes=LOOKS,
        actions=("s3:DeleteObject", "s3:PutObject"),
        resources=(naming.bucket_arn(bucket, f"{below}/.pulumi/locks/*/{naming.project}/{naming.stack}/*"),),
    )
    yield Grant(
        sid="WriteState",
        purposes=frozenset({Purpose.DEPLOY}),
        actions=("s3:DeleteObject", "s3:PutObject"),
        resources=tuple(
            naming.bucket_arn(bucket, f"{below}/.pulumi/{part}/{naming.project}/{naming.stack}{end}")
            for part, end in (("stacks", ".json*"), ("history", "/*"), ("backups", "/*"))
        ),
    )
    if state.key is not None:
        yield Grant(
            sid="ReadStateSecrets",
            purposes=LOOKS,
            # Pulumi opens a stack in no other way.
            actions=("kms:Decrypt",),
            resources=(state.key,),
        )
        yield Grant(
            sid="WriteStateSecrets",
            purposes=frozenset({Purpose.DEPLOY}),
            actions=("kms:Encrypt",),
            resources=(state.key,),
        )
