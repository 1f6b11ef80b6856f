"""Documentation of Python packages as a corpus: found on disk, parsed, never imported."""
