"""`python -m benchmarks` in a checkout, or `python path/to/benchmarks` from anywhere; nothing needs to be installed."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from benchmarks.frame.command import main

    sys.exit(main())
