"""HTTP APIs of templates: many functions under one address, told apart by method and path."""
