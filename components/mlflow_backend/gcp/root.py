"""Where a backend, or a stack's backups, are in a bucket of Cloud Storage. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Store:
    """A root in a bucket: `root` is the prefix below which its parts lie, '' for none."""

    bucket: str
    root: str = ""

    def prefix(self, part: str) -> str:
        """Return the prefix of `part`, without a slash at either end."""
        return f"{self.root}/{part}" if self.root else part

    def address(self, part: str) -> str:
        """Return the address of `part`."""
        return f"gs://{self.bucket}/{self.prefix(part)}"
