"""The permissions of a workflow's role on a backend on AWS, by purpose: parts, image, state of Pulumi. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from mlflow_backend.aws.permissions import data, network, watching
from mlflow_backend.aws.permissions.grant import ALL, CHANGES, LOOKS, Conditions, Grant, Purpose, grant
from mlflow_backend.aws.render.policies import repository_arn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.settings import Settings

_LINKED: Final = ("elasticache", "rds")
_BALANCER: Final = "elasticloadbalancing"
"""Services of every backend that make a role of their own in an account that has none yet."""


@dataclass(frozen=True, kw_only=True)
class Own:
    """What only one target on AWS has: its roles by part, services with roles of their own, and grants on its parts.

    `balanced` is whether its servers are behind a load balancer, with alarms and logs of theirs.
    """

    roles: Sequence[str]
    services: Sequence[str]
    grants: Sequence[Grant]
    balanced: bool = True


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
    settings: Settings, naming: Naming, purpose: Purpose, own: Own, *, state: PulumiState | None = None
) -> tuple[Grant, ...]:
    """Return what a role of a purpose may do with a stack's backend, least privilege by ARN.

    `state` adds what Pulumi needs to keep the stack; without it these are the permissions on the backend alone.
    """
    every = (
        *network.grants(settings, naming, balanced=own.balanced),
        *data.grants(settings, naming),
        *_roles(settings, naming, own),
        *own.grants,
        *(watching.grants(settings, naming) if own.balanced else ()),
        *_images(settings, naming),
        *_state(naming, state),
        # `scripts/doctor.py` asks IAM what is missing.
        grant(
            "AskAboutOneself",
            ALL,
            "iam:SimulatePrincipalPolicy",
            naming.global_arn("iam", f"role/{role_name(naming, purpose)}"),
        ),
    )
    return tuple(each for each in every if purpose in each.purposes)


def actions_of(found: tuple[Grant, ...]) -> tuple[str, ...]:
    """Return the names of all actions of grants, each once."""
    return tuple(sorted({action for grant in found for action in grant.actions}))


def _roles(settings: Settings, naming: Naming, own: Own) -> Iterator[Grant]:
    roles = tuple(naming.role_arn(part) for part in own.roles)
    linked = (*_LINKED, *((_BALANCER,) if own.balanced else ()), *own.services)
    boundary = settings.aws.permissions_boundary
    bounded: Conditions = {"StringEquals": {"iam:PermissionsBoundary": boundary}} if boundary else {}
    yield grant(
        "LookAtRoles",
        LOOKS,
        "iam:GetRole GetRolePolicy ListAttachedRolePolicies ListInstanceProfilesForRole ListRolePolicies "
        "ListRoleTags SimulatePrincipalPolicy",
        *roles,
    )
    if boundary is not None:
        yield grant("LookAtBoundary", LOOKS, "iam:GetPolicy", boundary)
    # Neither AttachRolePolicy nor DeleteRolePermissionsBoundary: the program attaches no managed policy, and whoever
    # may take a boundary away is not bound by it.
    yield grant(
        "MakeRoles",
        CHANGES,
        "iam:CreateRole DeleteRolePolicy PutRolePermissionsBoundary PutRolePolicy",
        *roles,
        **bounded,
    )
    yield grant(
        "ChangeRoles",
        CHANGES,
        "iam:DeleteRole TagRole UntagRole UpdateAssumeRolePolicy UpdateRole UpdateRoleDescription",
        *roles,
    )
    yield grant(
        "MakeServiceLinkedRoles",
        CHANGES,
        "iam:CreateServiceLinkedRole",
        naming.global_arn("iam", "role/aws-service-role/*"),
        StringEquals={"iam:AWSServiceName": [f"{each}.amazonaws.com" for each in sorted(linked)]},
    )


def _images(settings: Settings, naming: Naming) -> Iterator[Grant]:
    repository = repository_arn(settings, naming)
    if repository is None:
        return
    yield grant("LookAtImage", LOOKS, "ecr:BatchGetImage GetDownloadUrlForLayer", repository)
    # The action knows no resource (service authorization reference, Amazon ECR).
    yield grant("LogInToRepository", frozenset({Purpose.IMAGE}), "ecr:GetAuthorizationToken", "*")
    yield grant(
        "PushImage",
        frozenset({Purpose.IMAGE}),
        "ecr:BatchCheckLayerAvailability BatchGetImage CompleteLayerUpload GetDownloadUrlForLayer "
        "InitiateLayerUpload PutImage UploadLayerPart",
        repository,
    )


def _state(naming: Naming, state: PulumiState | None) -> Iterator[Grant]:
    if state is None:
        return
    bucket, below = state.bucket, f"/{state.prefix}" if state.prefix else ""
    everything = f"{state.prefix}/.pulumi" if state.prefix else ".pulumi"
    yield grant(
        "ListState",
        LOOKS,
        "s3:ListBucket",
        naming.bucket_arn(bucket),
        StringLike={"s3:prefix": [everything, f"{everything}/*"]},
    )
    yield grant("ReadState", LOOKS, "s3:GetObject", naming.bucket_arn(bucket, f"{below}/.pulumi/*"))
    yield grant(
        "LockState",
        LOOKS,
        "s3:DeleteObject PutObject",
        naming.bucket_arn(bucket, f"{below}/.pulumi/locks/*/{naming.project}/{naming.stack}/*"),
    )
    yield grant(
        "WriteState",
        CHANGES,
        "s3:DeleteObject PutObject",
        *(
            naming.bucket_arn(bucket, f"{below}/.pulumi/{part}/{naming.project}/{naming.stack}{end}")
            for part, end in (("stacks", ".json*"), ("history", "/*"), ("backups", "/*"))
        ),
    )
    if state.key is not None:
        # Pulumi opens a stack in no other way.
        yield grant("ReadStateSecrets", LOOKS, "kms:Decrypt", state.key)
        yield grant("WriteStateSecrets", CHANGES, "kms:Encrypt", state.key)
