"""Checks of the account before a stack's first update on AWS, each with the command that fixes it."""
