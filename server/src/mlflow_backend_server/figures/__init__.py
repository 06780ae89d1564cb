"""Figures for Prometheus beside those that workers count: of the databases, and of this server's processes."""
