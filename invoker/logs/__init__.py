"""What functions print, and what the platform writes around it: from an environment to a line in a file."""
