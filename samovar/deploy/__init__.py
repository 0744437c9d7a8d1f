"""From a folder to a function on the platform: manifest, package, requirements, triggers."""
