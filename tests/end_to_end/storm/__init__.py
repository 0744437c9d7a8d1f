"""Every kind of trigger under a storm of kills, and the books afterwards: `python -m tests.end_to_end.storm`.

`kinds.py` says what a kind of trigger is to a storm; `calls.py`, `events.py`, `queues.py`, `streams.py`, `uploads.py`
and `moments.py` are the kinds; `storm.py` sends, kills, waits and counts.
"""
