"""The commands: each parses its arguments, calls the package, and ends with one of the project's exit codes."""
