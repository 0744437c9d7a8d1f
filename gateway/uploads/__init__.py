"""Uploads: S3's API in front of an S3 server, and the functions that objects in it start."""
