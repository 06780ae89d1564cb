"""Verification as a part of a stack: the Pulumi resource, and where its checks are executed."""
