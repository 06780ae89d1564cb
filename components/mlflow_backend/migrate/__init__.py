"""The single-writer migration step: what is pending, said before it happens, and done with a dump in hand."""
