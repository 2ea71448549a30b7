"""Do params, data and the log density fit together? Answered on shapes and types alone, so also inside a trace."""

from collections import Counter
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from mle_jax._text import listing
from mle_jax._trees import named_leaves
from mle_jax.likelihood.probing import abstract, probe
from mle_jax.likelihood.rows import row_layout
from mle_jax.parameters import ParameterSpace, resolve
from mle_jax.parameters.resolution import leaves_with_columns

if TYPE_CHECKING:
    from mle_jax.likelihood.model import Model

ColumnNames = dict[str, tuple[str, ...]]


def shapes_of(data: Any) -> Any:
    """Return the shapes and types of a dataset.

    Raises:
        TypeError: a leaf is not numeric.
    """
    named = named_leaves(data, root="data")
    for name, leaf in zip(named.names, named.leaves, strict=True):
        dtype = getattr(leaf, "dtype", None) or np.asarray(leaf).dtype
        real = any(jnp.issubdtype(dtype, kind) for kind in (jnp.floating, jnp.integer, jnp.bool_))
        if not real:
            raise TypeError(
                f"data leaf '{name}' is of type {dtype}, but data must be real numbers; convert it (dates to days, "
                "categories to indicator columns) or leave it out"
            )
    return named.rebuild([abstract(leaf) for leaf in named.leaves])


def model_space(model: "Model", data: Any, column_names: ColumnNames | None = None) -> ParameterSpace:
    """Resolve the declared parameters of a model against the shapes of a dataset; the answer is kept."""
    shapes = shapes_of(data)
    named = tuple(sorted((name, tuple(columns)) for name, columns in (column_names or {}).items() if columns))
    signature = *signature_of(shapes), named
    if signature not in model._spaces:
        model._spaces[signature] = resolve(model.parameters, shapes, column_names=dict(named))
    return model._spaces[signature]


def count_rows(model: "Model", data: Any) -> int:
    """Return the number of observations: rows, or what `Model.joint` was told or can guess from the leaves."""
    if not model.is_joint:
        return row_layout(data, tuple(model.constants)).size
    if callable(model.n_observations):
        return int(model.n_observations(data))
    if model.n_observations is not None:
        return int(model.n_observations)
    contributions = count_contributions(model, data)
    if contributions is not None:
        return contributions
    lengths = Counter(leaf.shape[0] for leaf in jax.tree_util.tree_leaves(shapes_of(data)) if leaf.shape)
    return max(lengths, key=lambda length: (lengths[length], length), default=1)


def count_contributions(model: "Model", data: Any) -> int | None:
    """Return how many contributions a joint log-likelihood returns, or None where it returns their sum."""
    params = jax.tree_util.tree_map(abstract, model_space(model, data).default_start())
    result = jax.eval_shape(model.log_density, params, shapes_of(data))
    return int(result.shape[0]) if len(result.shape) == 1 else None


def laid_out_like(params: Any, gradient: Any) -> Any:
    """Return a handwritten gradient in the layout and the types of params.

    Raises:
        ValueError: an entry is missing, unknown, or of another shape.
    """
    given, wanted = named_leaves(gradient, root="params"), named_leaves(params, root="params")
    shapes = {name: jnp.shape(leaf) for name, leaf in zip(given.names, given.leaves, strict=True)}
    needed = {name: jnp.shape(leaf) for name, leaf in zip(wanted.names, wanted.leaves, strict=True)}
    if shapes != needed:
        raise ValueError(
            f"the handwritten gradient has the entries {shapes}, but params has {needed}; return one derivative per "
            "parameter, laid out like params (model.check_gradient(data) shows both)"
        )
    by_name = dict(zip(given.names, given.leaves, strict=True))
    leaves = zip(wanted.names, wanted.leaves, strict=True)
    return wanted.rebuild([jnp.asarray(by_name[name], leaf.dtype) for name, leaf in leaves])


def check_call(model: "Model", params: Any, data: Any) -> None:
    """Raise where params, data and the log density of a model do not fit together.

    A combination of shapes and types that has passed is not tried again.
    """
    space = model_space(model, data)
    check_layout(space, params)
    shapes = shapes_of(data)
    signature = signature_of((jax.tree_util.tree_map(abstract, params), shapes))
    if signature in model._checked:
        return
    if model.is_joint:
        probe(model.log_density, params, shapes, kind="log_likelihood", owner=model.name, scalar_only=False)
    else:
        row = one_row(model, shapes)
        vectors = leaves_with_columns(model.parameters, shapes)
        probe(model.log_density, params, row, kind="log_density", owner=model.name, vectors=vectors)
    model._checked.add(signature)


def one_row(model: "Model", shapes: Any) -> Any:
    """Return what describes one row of a dataset, given what describes all."""
    layout = row_layout(shapes, tuple(model.constants))
    return layout.with_rows([jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype) for leaf in layout.rows])


def signature_of(shapes: Any) -> Any:
    """Return shapes, types and layout as a key."""
    leaves, treedef = jax.tree_util.tree_flatten(shapes)
    return treedef, tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves)


def check_layout(space: ParameterSpace, params: Any) -> None:
    """Raise where params are not laid out as declared, or are not floating-point numbers.

    Raises:
        ValueError: a parameter is missing, unknown, or of another shape.
        TypeError: a parameter is an integer or no number at all.
    """
    named = named_leaves(params, root="params")
    missing = [name for name in space.leaf_names if name not in named.names]
    unknown = [name for name in named.names if name not in space.leaf_names]
    if missing or unknown:
        problems = [f"lacks {listing(missing)}"] * bool(missing) + [f"has unknown {listing(unknown)}"] * bool(unknown)
        raise ValueError(f"params {' and '.join(problems)}; the model's parameters are {listing(space.leaf_names)}")
    given = dict(zip(named.names, named.leaves, strict=True))
    for name, declaration in zip(space.leaf_names, space.declarations, strict=True):
        leaf = given[name]
        dtype = jnp.result_type(leaf)
        if not jnp.issubdtype(dtype, jnp.floating):
            raise TypeError(
                f"parameter '{name}' is of type {dtype}, but gradients need floating-point numbers; "
                f"write {name}=1.0 instead of {name}=1, or convert it with jnp.asarray(..., float)"
            )
        if jnp.shape(leaf) != tuple(declaration.shape):
            raise ValueError(
                f"parameter '{name}' has shape {jnp.shape(leaf)}, but its declaration has shape "
                f"{tuple(declaration.shape)}; pass one number per entry"
            )
