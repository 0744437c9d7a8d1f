"""What every other part of Samovar shares: vocabulary, errors, settings, the wire format, the client."""

__version__ = "0.1.0"
