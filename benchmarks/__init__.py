"""Side-by-side measurements: each a script, with its last figures in a file of the same name."""
