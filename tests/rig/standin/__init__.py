"""Stand-ins for cloud providers' plugins: Pulumi's provider protocol in front of an emulated platform.

`base`, `values` and `sdk` know no cloud and are shared; each cloud has a folder of its own.
"""
