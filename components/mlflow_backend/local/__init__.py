"""The `local` target: a backend as supervised processes of this user on loopback."""
