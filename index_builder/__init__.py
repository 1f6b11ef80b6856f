"""Offline: from a corpus to a published version of a store."""
