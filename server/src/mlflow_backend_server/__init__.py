"""What every MLflow server of a backend runs besides MLflow itself: the app plugin and the database tool."""
