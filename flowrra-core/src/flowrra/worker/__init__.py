"""The one worker loop, for every broker."""
