"""Decoding with lookups: the loop (pure), what it asks of an engine, and `generate`, which joins the two."""
