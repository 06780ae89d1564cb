"""Scheduled backups: what one holds, which artifacts are copied, whether it is whole, which ones are kept."""
