"""Flowrra on Redis beside its peers: the same tasks through each, one producer and one worker process."""
