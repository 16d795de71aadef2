"""The in-memory engine beside its peers: no-op tasks through one process, in one interleaved run."""
