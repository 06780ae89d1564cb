"""Verification as a part of a stack: the Pulumi resource, and the execution of its checks."""
