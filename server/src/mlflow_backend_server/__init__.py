"""The app plugin and the database tool that every MLflow server of a backend runs besides MLflow itself."""
