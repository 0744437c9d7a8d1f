"""Queues: SQS's API on Redis."""
