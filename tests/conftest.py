"""Settings shared by all tests. The 64-bit flag of JAX is left alone: the library must work with it off."""

from hypothesis import settings

# A first example compiles, so deadlines mislead; derandomized runs fail the same way for everyone.
settings.register_profile("mle_jax", deadline=None, derandomize=True)
settings.load_profile("mle_jax")
