"""The arguments of the resource Preflight, whose names are its inputs'."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pulumi


@dataclass(frozen=True, kw_only=True)
class PreflightArgs:
    """What is looked at.

    `image`: as settings name it. `platform`: `linux/amd64` or the like. `drivers`: what the image must hold.
    `registry_login`: a reference (file:PATH or env:NAME) to USER:PASSWORD, or `secretsmanager:ARN` of a secret with the
    keys `username` and `password`. `account` and `region`: where the backend belongs, `profile` and `role` as a
    Connection has them; None on targets without AWS. `secrets`: ARNs by the setting that names them, `reader` the ARN
    of the role that will read them. `certificate` and `host`: the public URL's. `soak`: stack, hours, and region,
    bucket and root of the ledger in which the image must have been verified for so long. `database`: the host of an
    adopted database. `boundary`: as account.Expected has it.
    """

    image: pulumi.Input[str]
    platform: str
    mlflow_version: str
    drivers: Sequence[str]
    registry_login: str | None = None
    account: str | None = None
    region: str | None = None
    profile: str | None = None
    role: str | None = None
    secrets: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    reader: str | None = None
    certificate: pulumi.Input[str] | None = None
    host: str | None = None
    hosted_zone: pulumi.Input[str] | None = None
    zones: int = 0
    soak: Mapping[str, Any] | None = None
    database: pulumi.Input[str] | None = None
    boundary: str | None = None
