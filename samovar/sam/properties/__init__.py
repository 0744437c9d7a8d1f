"""What the resources of a template may say, as far as Samovar has it. A member that is not here is refused by name."""
