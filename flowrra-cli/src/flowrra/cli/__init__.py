"""The command line of Flowrra."""
