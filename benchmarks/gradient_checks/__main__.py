"""`python -m benchmarks.gradient_checks` in a checkout."""

import sys

if __name__ == "__main__":
    from benchmarks.gradient_checks.command import main

    sys.exit(main())
