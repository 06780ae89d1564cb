"""The `ecs` target: an MLflow backend on AWS Fargate."""
