"""The Pulumi language host for Python programs, for a CLI that was built from its Go module.

The vendor's archive brings a language host of its own; a CLI built from source has none, because that host is not
published as a Go module. This package replaces it: it serves the engine's `LanguageRuntime` protocol and starts
each program with the vendor's own executor (`pulumi-language-python-exec`, which is in the module of the SDK), so that
a program behaves as under the vendor's host.

It owns: serving the protocol, choosing the interpreter, starting and ending child processes.
It does not own: running the program (the executor does), installing packages (`make setup` does), generating code.
"""
