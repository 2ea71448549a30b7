"""The data of the cases: small, random, the same every time."""

import numpy as np

N = 40
_RNG = np.random.default_rng(42)

X = np.column_stack([np.ones(N), _RNG.normal(size=(N, 2))])
W = np.array([0.5, -1.0, 0.25])
Y = X @ W + _RNG.normal(size=N)
COUNTS = _RNG.poisson(np.exp(X @ W / 2)).astype(float)
LABELS = (_RNG.random(N) < 1 / (1 + np.exp(-X @ W))).astype(float)
TIMES = _RNG.exponential(size=N)
EVENTS = (_RNG.random(N) < 0.7).astype(float)
CENSORED = np.maximum(Y, 0.0)
"""Y with everything below 0 recorded as 0."""
ROWS = _RNG.normal(size=(N, 3))
CLASSES = _RNG.integers(0, 3, N)
TRIALS = _RNG.integers(3, 12, N).astype(float)
SUCCESSES = _RNG.binomial(TRIALS.astype(int), _RNG.beta(2.0, 3.0, N)).astype(float)
GROUPED_X = _RNG.normal(size=(12, 5, 2))
GROUPED_Y = GROUPED_X @ np.array([1.0, -0.5]) + _RNG.normal(size=(12, 1)) + _RNG.normal(size=(12, 5))
BLOCK = _RNG.normal(size=(3, 4))
MATRIX = _RNG.normal(size=(3, 3))
WIDE = _RNG.normal(size=(3, 2))
FACTOR = np.array([[1.3, 0.4, -0.2], [0.0, 0.9, 0.3], [0.0, 0.0, 1.1]])
SYMMETRIC = np.array([[2.0, 0.5, 0.1], [0.5, 1.5, -0.2], [0.1, -0.2, 1.0]])
