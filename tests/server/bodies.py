"""JSON bodies that the request filter lets through, and bodies that it refuses."""

from __future__ import annotations

GOOD = [
    "s3://mlflow/artifacts", "mlflow-artifacts:/1/run/artifacts", "runs:/abc/model", "models:/m-1", "gs://b/a%20b",
    "s3://b/..hidden/x", "models:/name/3", "dbfs:/x", "mlflow-artifacts://host:5000/1/a", "s3://b/a.b/c",
]  # fmt: skip

BAD = [
    "file:///etc/passwd", "FILE:/etc", "file:etc", "%66ile:///etc", "/etc/passwd", "etc", "./x", "../x", "~root",
    "s3://b/a#b", "s3://b/a%23b", "s3://b/a%2523b", "s3://b/a;x=1", "s3://b/a%3bx", "s3://b/../x", "s3://b/%2e%2e/x",
    "s3://b/%252e%252e/x", "s3://b/x?../../y", "http://h/x?a=../..", "s3://b/a\0", "s3://b/a\n", "s3:\\\\b\\..\\x",
    "#/../../etc", "http:#/../../../../etc", "local:/x", "sqlite:///x", "s3://b/x/..",
]  # fmt: skip
