"""Users and permissions of MLflow's own access control: from the settings to calls of MLflow's API."""
