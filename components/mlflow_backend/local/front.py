"""The proxy on the public port of a local stack.

The port stays while revisions come and go behind it. Which server gets the traffic is the content of one file.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mlflow_backend.local import ports, render
from mlflow_backend.local.render import Program
from mlflow_backend.local.service import Service
from mlflow_backend.local.state import write
from mlflow_backend.local.tools import installed

if TYPE_CHECKING:
    from pathlib import Path


class Front(Service):
    """The Caddy of one stack."""

    name = "front"

    def program(self) -> Program:
        """Return the supervised Caddy."""
        return Program(
            name=self.name,
            argv=(str(installed("caddy")), "run", "--config", str(self._configuration)),
            environment={
                "XDG_DATA_HOME": str(self.state.front),
                "XDG_CONFIG_HOME": str(self.state.front),
                # Makes a changed configuration a changed program.
                "MLFLOW_BACKEND_CONFIGURATION": render.digest(self._rendered()),
            },
        )

    def prepare(self) -> None:
        """Write the configuration."""
        write(self._configuration, json.dumps(self._rendered(), indent=2))

    def answers(self) -> bool:
        """Return whether the proxy listens."""
        return ports.listens(self.port)

    def _rendered(self) -> dict[str, object]:
        candidate = ports.choose(self.state, "candidate")
        return render.proxy({self.port: self.state.active, candidate: self.state.candidate})

    @property
    def _configuration(self) -> Path:
        return self.state.front / "caddy.json"
