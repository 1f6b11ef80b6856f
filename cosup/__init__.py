"""The top of Cosup: the `cosup` command and what spans the workers."""
