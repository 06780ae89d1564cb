"""Sign-in for MLflow's client: API keys and Google identity tokens that are renewed while a training runs.

MLflow's client loads it by its plugin point `mlflow.request_auth_provider` if MLFLOW_TRACKING_AUTH is `mlflow-backend`.
"""
