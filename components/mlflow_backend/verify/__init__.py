"""Verification: exercises a running backend through the URL that users call, and says what works, what not, and why.

Only `provider` knows pulumi; the dynamic resource, the scripts and the tests run literally the same functions. Modules
are imported by name, for the provider process and the scripts start light.
"""
