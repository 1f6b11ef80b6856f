"""The HTTP routes: thin, one file for each resource."""
