"""CloudWatch Logs' API (JSON 1.1 protocol) over the logs of functions: one file an AWS resource."""
