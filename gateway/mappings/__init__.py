"""Event source mappings as records. `gateway/pollers/` is what works through their sources."""
