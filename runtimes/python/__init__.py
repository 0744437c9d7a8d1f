"""The runtime of Python functions: files that are mounted into environments as they stand."""
