"""Ways to isolate an environment, behind one contract (`contract.py`)."""
