"""The report of a preview, made of the engine's event stream, and its three forms.

`events` reads the stream, `build` decides what it means, `text`, `markdown` and `document` show it. All pure, and
without pulumi: what runs Pulumi is scripts/preview.py.
"""
