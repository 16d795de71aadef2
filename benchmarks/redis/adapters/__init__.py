"""One module per library: what its worker runs, and ``Adapter``, which submits and reads results."""
