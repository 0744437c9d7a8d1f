"""What every process of the platform needs of its operating system."""
