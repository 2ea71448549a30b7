"""Two processes that share the rows of one likelihood: the same numbers as one process that has them all."""

import os
import socket
import subprocess
import sys
import textwrap

import pytest

SCRIPT = """
    import sys
    import jax
    import numpy as np
    from jax.sharding import NamedSharding, PartitionSpec

    address, number = sys.argv[1], int(sys.argv[2])
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(address, num_processes=2, process_id=number)
    import mle_jax as mle

    rng = np.random.default_rng(0)
    n = 40_000  # more than are summed at once
    x = np.column_stack([np.ones(n), rng.normal(size=n)])
    data = {"x": x, "y": rng.poisson(np.exp(x @ [0.3, -0.5])).astype(float)}
    weights = rng.integers(0, 3, n).astype(float)
    model, params = mle.models.poisson_regression(), {"w": np.array([0.1, -0.2])}

    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("rows",))
    mine = slice(number * n // 2, (number + 1) * n // 2)
    place = lambda leaf: jax.make_array_from_process_local_data(
        NamedSharding(mesh, PartitionSpec("rows")), leaf[mine], leaf.shape
    )
    shared, shared_weights = jax.tree_util.tree_map(place, (data, weights))
    assert not shared["y"].is_fully_addressable

    def everything(params, data, weights):
        maximum = mle.maximize(model, data, weights=weights)
        return (
            model.log_likelihood(params, data, weights=weights),
            model.score(params, data, weights=weights)["w"],
            model.hessian(params, data, weights=weights),
            maximum.params["w"],
            maximum.log_likelihood,
            maximum.status,
        )

    everywhere = jax.jit(everything, out_shardings=NamedSharding(mesh, PartitionSpec()))
    found = [np.asarray(leaf) for leaf in everywhere(params, shared, shared_weights)]
    alone = [np.asarray(leaf) for leaf in jax.jit(everything)(params, data, weights)]
    for one, other in zip(found, alone, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11)
    assert mle.Status(int(found[-1])).certified
    print("the same")
"""


@pytest.mark.slow
def test_two_processes_share_one_likelihood():
    """Sums of 40 000 numbers in another order: a few hundred roundings at most."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), address]
    running = [
        subprocess.Popen([*command, str(i)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for i in range(2)
    ]
    for process in running:
        output, errors = process.communicate(timeout=300)
        assert process.returncode == 0 and "the same" in output, errors
