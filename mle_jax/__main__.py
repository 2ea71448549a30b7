"""`python -m mle_jax` is `mle-jax`."""

import sys

from mle_jax.cli import main

if __name__ == "__main__":
    sys.exit(main())
