"""AWS Lambda's REST API, one module for each resource."""
