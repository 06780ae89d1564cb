"""Staging labels of a secret's own: moto takes all of them from a version as soon as there is a newer one.

AWS moves AWSCURRENT and AWSPREVIOUS by itself, and any other label only if it is told to (Secrets Manager user
guide, 'What's in a secret').
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moto.secretsmanager.models import FakeSecret

if TYPE_CHECKING:
    from tests.rig.patches import Patches

_AWS_OWN: Final = {"AWSCURRENT", "AWSPREVIOUS", "AWSPENDING"}


def install(patches: Patches) -> None:
    """Leave them where they are from now on."""

    def reset(secret: FakeSecret, secret_version: dict[str, Any], version_id: str) -> None:
        own = {
            name: [each for each in version["version_stages"] if each not in _AWS_OWN]
            for name, version in secret.versions.items()
        }
        before_reset(secret, secret_version, version_id)
        for name, labels in own.items():
            held = secret.versions[name]["version_stages"]
            held += [each for each in labels if each not in held]

    before_reset = patches.put(FakeSecret, "reset_default_version", reset)
