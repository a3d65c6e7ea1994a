"""To be imported before a library that was made for a sanitizer is loaded into an interpreter that was not: the
sanitizer's run-time must be there before anything else. tests/under says where it is.

What Python itself leaves behind at its end is not looked at.
"""

import os
import sys

RUN_TIME = os.environ.get("COMMY_SANITIZER", "")

if RUN_TIME and os.environ.get("LD_PRELOAD") != RUN_TIME:
    os.environ["LD_PRELOAD"] = RUN_TIME
    os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    os.execv(sys.executable, [sys.executable, *sys.argv])
