"""The policy pack as Pulumi starts it: `pulumi preview --policy-pack components/mlflow_backend/policy`."""

from mlflow_backend.policy.pack import serve

if __name__ == "__main__":
    serve()
