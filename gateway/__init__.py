"""The HTTP and event front: from a request or an event to an invocation."""
