"""The platform as its command line sees it: a client for each of the APIs it serves."""
