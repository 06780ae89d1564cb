"""Names of images: registry, repository, tag, digest. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mlflow_backend.contract import UsageError

# Grammar of the distribution project's reference package.
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?P<registry>[A-Za-z0-9.-]+(?::\d+)?)/(?P<repository>{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)
_ECR = re.compile(r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One image as settings name it: by tag, by digest, or by both."""

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @property
    def asked(self) -> str:
        """What a registry is asked for; a digest is the stronger of the two."""
        return self.digest or self.tag or ""

    @property
    def ecr(self) -> tuple[str, str] | None:
        """Account and region of an ECR registry; None for any other one."""
        match = _ECR.fullmatch(self.registry)
        return (match["account"], match["region"]) if match else None

    def pinned(self, digest: str) -> str:
        """Return the name that will mean this very image for ever; the tag would mislead whoever reads it."""
        return f"{self.registry}/{self.repository}@{digest}"

    def __str__(self) -> str:
        """Return the reference as it is written."""
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"


def parse(text: str) -> Reference:
    """Return the reference that `text` is.

    Raises UsageError when it names no registry, no repository, or neither tag nor digest: what an engine would
    fill in differs between engines.
    """
    match = _REFERENCE.fullmatch(text)
    if match is None or not (set(".:") & set(match["registry"]) or match["registry"] == "localhost"):
        raise UsageError(
            "not the name of an image with its registry, such as registry.example.com/mlflow:3.17.2",
            code="image-name-malformed",
        )
    if match["tag"] is None and match["digest"] is None:
        raise UsageError("neither a tag nor a digest is named", code="image-name-without-tag")
    return Reference(
        registry=match["registry"], repository=match["repository"], tag=match["tag"], digest=match["digest"]
    )
