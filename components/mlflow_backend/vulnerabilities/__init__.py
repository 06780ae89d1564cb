"""Known vulnerabilities of MLflow versions; `settings.vulnerable` refuses to deploy them outside `local`.

The table is `known.toml`. It is checked whenever it is read, so a row without range, source or date is never in force.
"""

from mlflow_backend.vulnerabilities.table import note

__all__ = ["note"]
