"""Names within a local stack's services: databases, their owner, the bucket; and the URL that users call. Pure."""

from __future__ import annotations

from mlflow_backend.local.ports import LOOPBACK

DATABASE = "mlflow"
AUTH_DATABASE = "mlflow_auth"
ROLE = "mlflow"
BUCKET = "mlflow"
ARTIFACT_ROOT = f"s3://{BUCKET}/artifacts"
# rclone ignores the region; clients refuse to sign without one.
REGION = "us-east-1"


def tracking_url(port: int, prefix: str = "") -> str:
    """Return the URL of a server behind the proxy's port."""
    return f"http://{LOOPBACK}:{port}{prefix}"
