"""The folders of the two other distributions, the server's and the client's, as this package carries them.

In a checkout they are links to server/ and client/; in an installed wheel they are copies. What the local target
installs, the locks of MLflow's environments and the tables of MLflow's schemas and routes are read from there.
"""

from __future__ import annotations

import importlib.util
import io
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_HERE: Final = Path(__file__).resolve().parent
SERVER: Final = _HERE / "server_package"
SOURCE: Final = SERVER / "src"
"""What PYTHONPATH holds for programs of the server's package that need no installation."""
TABLES: Final = SOURCE / "mlflow_backend_server"
"""Holds schema_heads.json, revision_classes.json and routes.json."""
LOCKS: Final = SERVER / "requirements"
"""Holds one lock an MLflow version, such as 3.17.2.txt."""
_CLIENT: Final = _HERE / "client_package"
CLIENT_LOCKS: Final = _CLIENT / "requirements"
"""Holds one lock an MLflow version, of a client's environment."""
_GATE: Final = _CLIENT / "mlflow_backend_gate.py"


def archive(patterns: Iterable[str], more: Mapping[str, bytes]) -> bytes:
    """Return these files of the package, and more beside it, as a zip file; equal content is equal bytes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as written:
        for path in sorted({path for pattern in patterns for path in _HERE.glob(pattern)}):
            # Without the file's own time, which is another in each clone.
            info = zipfile.ZipInfo(str(path.relative_to(_HERE.parent)))
            written.writestr(info, path.read_bytes(), compress_type=zipfile.ZIP_DEFLATED)
        for name, text in more.items():
            written.writestr(zipfile.ZipInfo(name), text, compress_type=zipfile.ZIP_DEFLATED)
    return content.getvalue()


def gate() -> Any:
    """Load the gate before training as the module that pipelines import by its own name."""
    spec = importlib.util.spec_from_file_location("mlflow_backend_gate", _GATE)
    if spec is None or spec.loader is None:
        raise ImportError(f"{_GATE} is no module")
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses are looked up by the module's name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
