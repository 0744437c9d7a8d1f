"""The keys of schedules in the store, spelled in one place.

| key                          | type | holds                                                                      |
|------------------------------|------|----------------------------------------------------------------------------|
| `samovar:schedules:records`  | hash | ARN → `Schedule` as JSON                                                   |
| `samovar:schedules:next`     | hash | ARN → the moment that comes next (epoch ms)                                |
| `samovar:schedules:due`      | zset | ARNs by when their next moment is run (epoch ms), later in flexible windows |
| `samovar:schedules:changed`  | list | one word, when something is due earlier than the beat may know              |
| `samovar:schedules:groups`   | hash | ARN of a group → when it was made (epoch s), and by which client token     |
| `samovar:schedules:tags`     | hash | ARN of a group → its tags as JSON                                          |

A schedule that is off, or has no moment to come, is in the first one only.
"""

from __future__ import annotations

from typing import Final

RECORDS: Final = "samovar:schedules:records"
NEXT: Final = "samovar:schedules:next"
DUE: Final = "samovar:schedules:due"
CHANGED: Final = "samovar:schedules:changed"
GROUPS: Final = "samovar:schedules:groups"
TAGS: Final = "samovar:schedules:tags"
