"""The folder of the server's own distribution, as this package carries it.

In a checkout it is a link to server/; in an installed wheel it is a copy. What the local target installs, the locks of
MLflow's environments and the tables of MLflow's schemas and routes are read from there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

SERVER: Final = Path(__file__).resolve().parent / "server_package"
SOURCE: Final = SERVER / "src"
"""What PYTHONPATH holds for programs of the server's package that need no installation."""
TABLES: Final = SOURCE / "mlflow_backend_server"
"""Holds schema_heads.json, revision_classes.json and routes.json."""
LOCKS: Final = SERVER / "requirements"
"""Holds one lock an MLflow version, such as 3.17.2.txt."""
