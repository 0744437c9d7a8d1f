"""SQS's API over HTTP, in both its protocols."""
