"""Question examples made by rule from the docstrings of a corpus of Python documentation."""
