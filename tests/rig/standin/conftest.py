"""Plain moto for the stand-in's own tests: no rig, no container, no engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Plain moto with the calls that it does not have."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - half a second, for these tests only

    from tests.rig.aws import descriptions  # noqa: PLC0415
    from tests.rig.aws.cache_groups import CacheGroups  # noqa: PLC0415
    from tests.rig.patches import Patches  # noqa: PLC0415

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    with Patches() as patches, pytest.MonkeyPatch.context() as environment:
        CacheGroups(patches)
        descriptions.install(patches)
        server.start()
        patches.callback(server.stop)
        host, port = server.get_host_and_port()
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "eu-west-1",
        }.items():
            environment.setenv(name, value)
        yield
