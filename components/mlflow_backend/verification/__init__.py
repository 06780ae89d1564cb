"""Verification as a part of a stack: the Pulumi resource, and if its checks are executed."""
