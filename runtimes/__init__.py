"""What runs inside an environment. Nothing here imports the rest of Samovar."""
