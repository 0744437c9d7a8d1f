"""The runtime of Python functions: two files that are mounted into environments as they stand."""
