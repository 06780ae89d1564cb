"""The database tool, `python -m mlflow_backend_server.db`: the one thing that reads or changes a backend's schemas.

It knows two Alembic chains, MLflow's tracking database and its basic-auth database, and holds itself to whatever
MLflow is installed beside it. It owns reading, upgrading, dumping and restoring them; what a verdict means for a
deployment is decided by who calls it.
"""
