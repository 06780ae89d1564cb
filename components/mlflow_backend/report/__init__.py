"""What a preview says to people: the engine's event stream turned into one report, and the report's three forms.

`events` reads the stream, `build` decides what it means, `text`, `markdown` and `document` show it. All pure, and
without pulumi: what runs Pulumi is scripts/preview.py.
"""
