"""Keep-alive policies compared on a generated trace, offline: `python -m benchmarks.keepalive`."""
