"""A server's answers about the parts that it depends on: `/health/components` and `/health/ready`."""
