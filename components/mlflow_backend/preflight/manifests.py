"""Manifests and configurations of images, as every registry gives them (OCI image specification). Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from mlflow_backend.contract import PlatformFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

INDEXES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
ACCEPTED: Final = (*INDEXES, *MANIFESTS)


MISSING: Final = frozenset({"image-missing", "image-missing-by-name", "image-missing-in-ecr"})
"""Codes of errors: the registry answers, and has no such image."""
DENIED: Final = frozenset(
    {
        *("ecr-denied", "ecr-unreachable", "registry-denied"),
        *("registry-wants-login", "registry-refused-login", "registry-login-without-token"),
    }
)
"""Codes of errors: what is missing is a permission or a login."""


class Source(Protocol):
    """Where an image's manifests and configuration can be read. Both raise PlatformFailed."""

    def manifest(self, asked: str) -> bytes:
        """Return the manifest of a tag or digest, byte for byte: its SHA-256 is its digest."""

    def blob(self, digest: str) -> bytes:
        """Return a blob by digest."""


@dataclass(frozen=True, kw_only=True)
class Platform:
    """An operating system and a CPU architecture, in the words of OCI."""

    system: str
    architecture: str

    def __str__(self) -> str:
        """Return it as build tools write it."""
        return f"{self.system}/{self.architecture}"


@dataclass(frozen=True, kw_only=True)
class Image:
    """One image: its digest, what it runs on, and what the configuration for the platform asked for says.

    `labels` and `user` are empty when it has no such platform.
    """

    digest: str
    platforms: tuple[Platform, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    user: str = ""


def inspect(source: Source, asked: str, platform: Platform) -> Image:
    """Return what a registry says of an image, without pulling a layer.

    Raises PlatformFailed, also when a digest does not match what was given.
    """
    body = source.manifest(asked)
    digest = digest_of(body)
    if asked.startswith("sha256:") and digest != asked:
        raise PlatformFailed(
            f"the registry gave another manifest ({digest}) than the one asked for", code="image-manifest-differs"
        )
    manifest = _document(body, "manifest")
    if "manifests" in manifest:
        return _of_index(source, digest, manifest, platform)
    configuration = _configuration(source, manifest)
    found = _platform(configuration)
    return _image(digest, (found,), configuration if found == platform else {})


def digest_of(body: bytes) -> str:
    """Return the digest of a manifest or blob."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def _of_index(source: Source, digest: str, index: Mapping[str, Any], platform: Platform) -> Image:
    entries = [(entry, _platform(entry.get("platform", {}))) for entry in index["manifests"]]
    # Attestations of build tools stand in the index as images for an unknown platform.
    known = [(entry, found) for entry, found in entries if found.system != "unknown"]
    fitting = next((entry for entry, found in known if found == platform), None)
    platforms = tuple(dict.fromkeys(found for _, found in known))
    if fitting is None:
        return _image(digest, platforms, {})
    body = source.manifest(str(fitting["digest"]))
    if digest_of(body) != fitting["digest"]:
        raise PlatformFailed(
            "the registry gave another manifest than its index names", code="image-manifest-not-of-index"
        )
    return _image(digest, platforms, _configuration(source, _document(body, "manifest")))


def _configuration(source: Source, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        wanted = str(manifest["config"]["digest"])
    except (KeyError, TypeError):
        raise PlatformFailed(
            "its manifest names no configuration: it is not the image of a container",
            code="image-without-configuration",
        ) from None
    body = source.blob(wanted)
    if digest_of(body) != wanted:
        raise PlatformFailed(
            "the registry gave another configuration than its manifest names", code="image-configuration-differs"
        )
    return _document(body, "configuration")


def _image(digest: str, platforms: tuple[Platform, ...], configuration: Mapping[str, Any]) -> Image:
    details = configuration.get("config") or {}
    return Image(
        digest=digest,
        platforms=platforms,
        labels=dict(details.get("Labels") or {}),
        user=str(details.get("User") or ""),
    )


def _platform(document: Mapping[str, Any]) -> Platform:
    return Platform(
        system=str(document.get("os", "unknown")), architecture=str(document.get("architecture", "unknown"))
    )


def _document(body: bytes, what: str) -> Mapping[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        raise PlatformFailed(f"its {what} is not JSON", code="image-document-not-json") from None
    if not isinstance(document, dict):
        raise PlatformFailed(f"its {what} is not a JSON object", code="image-document-not-object")
    return document
