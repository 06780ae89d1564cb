"""The backend's parts: one module or package a concern, imported by `__main__.py`, the scripts and the tests alike."""
