"""Hard negatives: passages that a lookup finds near the right one, written into the examples."""
