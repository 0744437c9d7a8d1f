"""AWS Lambda's REST API, one module a resource. HTTP shapes live here and nowhere else."""
