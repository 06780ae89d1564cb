"""A root in a bucket, below which a backend's objects or a stack's backups are, and its address. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Self

ARTIFACTS: Final = "artifacts"
"""Where below a backend's root MLflow's own objects are."""


@dataclass(frozen=True, kw_only=True)
class BucketRoot:
    """`root` is the prefix below which its parts are, '' for none."""

    scheme: ClassVar[str]
    """What the addresses of a cloud's buckets begin with."""

    bucket: str
    root: str = ""

    @classmethod
    def is_address(cls, text: str) -> bool:
        """Tell whether a text names a bucket of this cloud."""
        return text.startswith(cls.scheme) and text.removeprefix(cls.scheme)[:1] not in {"", "/"}

    @classmethod
    def at(cls, address: str, *below: str) -> Self:
        """Return the root that an address names, or the one `below` it."""
        bucket, _, root = address.removeprefix(cls.scheme).partition("/")
        return cls(bucket=bucket, root="/".join((root.strip("/"), *below)).strip("/"))

    def prefix(self, part: str) -> str:
        """Return the prefix of a part, without a slash at either end."""
        return f"{self.root}/{part}" if self.root else part

    def address(self, part: str) -> str:
        """Return the address of a part."""
        return f"{self.scheme}{self.bucket}/{self.prefix(part)}"
