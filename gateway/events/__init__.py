"""Asynchronous events: taken in, kept until they have run, retried, and told where they are to be told."""
