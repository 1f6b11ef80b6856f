"""Decoding engines: one subpackage for each backend."""
