"""What makes, changes and removes each kind of thing a template comes down to."""
