"""What a server says about the parts that it depends on: `/health/components` and `/health/ready`."""
