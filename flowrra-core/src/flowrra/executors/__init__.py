"""What runs tasks: on the event loop, in threads, in processes."""
