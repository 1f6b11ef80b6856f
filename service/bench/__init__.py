"""`cosup bench-serve`: load on a running service, and percentiles of what its clients saw."""
