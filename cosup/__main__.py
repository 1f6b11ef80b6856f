"""`python -m cosup` is the `cosup` command."""

from cosup.cli import main

main()
