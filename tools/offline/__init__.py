"""Tools for a machine without the vendor's Pulumi CLI: the CLI built from its source, and a language host.

The set-up comes here last (tools/bootstrap/pulumi_cli.py), and nothing else does: whoever has the vendor's CLI, or
reaches the vendor's archive, never runs a line of this folder. `go.mod` pins the CLI's source.
"""
