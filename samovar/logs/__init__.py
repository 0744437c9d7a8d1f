"""The logs of functions: their lines, their groups, and how they are written."""
