"""Thin commands: parse, call, exit code."""
