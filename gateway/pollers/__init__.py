"""Event source mappings at work: what reads a source in batches, filters, calls a function and settles what came of it.

| module        | what                                                                              |
|---------------|-----------------------------------------------------------------------------------|
| `patterns.py` | EventBridge's pattern language: compiled once, matched often (pure)               |
| `filters.py`  | filter criteria on records, with Lambda's rules for bodies (pure)                 |
| `batching.py` | when a batch is full (pure)                                                       |
| `outcome.py`  | what a function's answer means for each record of its batch (pure)                |
"""
