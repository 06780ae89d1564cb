"""`python -m mlflow_backend_server.db`."""

import sys

from mlflow_backend_server.db.cli import main

sys.exit(main())
