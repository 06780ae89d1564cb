"""Known vulnerabilities of MLflow versions, and the gate that refuses to deploy them outside `local`.

The table is `known.toml`. It is checked whenever it is read, so a row without range, source or date is never in force.
"""

from mlflow_backend.vulnerabilities.gate import note, refuse_vulnerable, standing

__all__ = ["note", "refuse_vulnerable", "standing"]
