"""One module per library: each puts the same tasks through it in the library's own words."""
