"""What there is of functions: records, versions, aliases, layers and code, and the rules of changing them."""
