"""AWS as moto emulates it, for one test: with credentials that are nobody's."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from moto import mock_aws

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def emulated_aws() -> Iterator[None]:
    """Answer every call of boto3's until the end."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            patch.setenv(name, "x")
        with mock_aws():
            yield
