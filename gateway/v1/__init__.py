"""Samovar's own API under `/samovar/v1/`: what AWS Lambda's has no word for."""
