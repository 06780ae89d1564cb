"""A program under mocks leaves no event loop to the collector."""

from __future__ import annotations

import asyncio
import gc
import warnings

import pulumi
from pulumi.runtime.mocks import MockCallArgs, MockResourceArgs, Mocks

from tests import mocked


class Nothing(Mocks):
    """Makes nothing."""

    def call(self, args: MockCallArgs) -> dict[str, object]:
        """Answer no function."""
        raise AssertionError(args.token)

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, object]]:
        """Give back what was asked for."""
        return f"{args.name}-id", args.inputs


def test_no_open_loop_is_left_to_the_collector() -> None:
    """Another test's `asyncio.run` lets the loop go; its warning made a test of the rig red, an hour later."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            asyncio.run(asyncio.sleep(0))
            mocked.run(lambda: pulumi.Output.from_input("value"), Nothing(), stack="dev")
            asyncio.run(asyncio.sleep(0))
            gc.collect()
    assert [str(warning.message) for warning in caught if warning.category is ResourceWarning] == []
