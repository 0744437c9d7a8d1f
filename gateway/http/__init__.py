"""The warm path: from an HTTP request to a function's event, and from its result to an HTTP answer."""
