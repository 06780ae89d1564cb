"""Releases: the ledger of what was verified, what holds an update back, and the way back to an earlier release."""
