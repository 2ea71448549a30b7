"""How much work a log density is, and how its code shall be compiled for that reason.

What is counted are the numbers that the log density is made of, without its derivatives, so it is a rough measure: at
ten million of them a search by quickly compiled code was seen to take between 0.1 and 4 seconds more than by polished
code, which is ready 3 to 8 seconds later.
"""

from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from mle_jax._equations import inner_programs
from mle_jax.likelihood.layout import count_rows, model_space, one_row, shapes_of, signature_of
from mle_jax.likelihood.probing import abstract
from mle_jax.likelihood.programs import SMALL, numbers_in

if TYPE_CHECKING:
    from mle_jax.likelihood.model import Model

MOST_WORK = 10_000_000
"""Numbers up to which large data are searched by quickly compiled code, in all searches of as many data together."""
BRIEF = 200
"""Numbers of one row, times the square of the number of parameters (an array counts as one), up to which a log density
with its derivatives makes a native loop that is compiled as soon as anything else: Poisson and Gaussian regressions."""
OF_A_DATASET = 1000  # numbers: what the steps of a search take beside the rows, by the same measure
TRIPS = 100  # of a loop of which nobody knows how often it runs


def compiles_in_a_hurry(model: "Model", data: Any, datasets: int = 1) -> bool:
    """Say whether code for Newton's method shall be compiled in a hurry though the data may be large.

    So it is where a search is soon done by any code, until what such searches have taken is worth polished code. This
    counts the search that will follow.

    Args:
        model: the model.
        data: one of the datasets, or what describes it.
        datasets: how many.
    """
    numbers = datasets * numbers_in(data)
    if numbers <= SMALL:
        return True
    if model.is_joint:  # whose work may be anything
        return False
    model._searched[numbers] += datasets * (OF_A_DATASET + count_rows(model, data) * _work_of_row(model, data))
    return model._searched[numbers] <= MOST_WORK


def is_brief(model: "Model", data: Any) -> bool:
    """Say whether a log density and its derivatives are soon compiled; data as for `compiles_in_a_hurry`."""
    return not model.is_joint and _work_of_row(model, data) * len(model_space(model, data).leaf_names) ** 2 <= BRIEF


def _work_of_row(model: "Model", data: Any) -> int:
    """Return of how many numbers the log density of a row is made; the answer is kept."""
    params = jax.tree_util.tree_map(abstract, model_space(model, data).default_start())
    row = one_row(model, shapes_of(data))
    signature = signature_of((params, row))
    if signature not in model._work:
        model._work[signature] = _work_of(jax.make_jaxpr(model.log_density)(params, row))
    return model._work[signature]


def _work_of(program: Any) -> int:
    return sum(map(_work_of_equation, program.eqns))


def _work_of_equation(equation: Any) -> int:
    inner = [_work_of(program) for program in inner_programs(equation)]
    name = equation.primitive.name
    if not inner:
        variables = (*equation.invars, *equation.outvars)
        return max((int(np.prod(variable.aval.shape, dtype=int)) for variable in variables), default=0)
    # Of a branch that rows choose all sides are worked out.
    times = equation.params["length"] if name == "scan" else TRIPS if name == "while" else 1
    return int(times) * sum(inner)
