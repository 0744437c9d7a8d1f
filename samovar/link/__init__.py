"""What travels between gateway, invoker and environments: frames, and what they ask for."""
