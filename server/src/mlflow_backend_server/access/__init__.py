"""Access to the server: API keys with scopes and limits, and a cache in front of MLflow's basic auth."""
