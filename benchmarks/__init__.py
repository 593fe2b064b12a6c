"""What tintype promises to be fast at, timed beside the plain way: `python -m benchmarks`."""
