"""AWS SAM templates: read with the line of everything, resolved, held against what Samovar has, and deployed."""
