"""One environment from its start to its end: the box it lives in, the worker in it, and what passes between."""
