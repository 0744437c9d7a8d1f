"""From an invocation to an isolated process and back."""
