"""The way to an invoker: the connection to the one beside this gateway, and to one that only a gateway reaches."""
