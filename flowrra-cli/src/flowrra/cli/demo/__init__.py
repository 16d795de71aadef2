"""``flowrra demo``: real work on the sources of the running Python's standard library."""
