"""What Pulumi starts as a policy pack: `pulumi preview --policy-pack components/mlflow_backend/policy`."""

from mlflow_backend.policy.pack import serve

if __name__ == "__main__":
    serve()
