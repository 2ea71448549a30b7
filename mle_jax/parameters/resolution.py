"""`resolve`: give every declaration its shape and its names."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import jax

from mle_jax._text import listing
from mle_jax._trees import NamedLeaves, named_leaves
from mle_jax.parameters.constant import Fixed
from mle_jax.parameters.covariance import Covariance
from mle_jax.parameters.interval import Interval
from mle_jax.parameters.ordered import Ordered
from mle_jax.parameters.positive import Positive
from mle_jax.parameters.protocol import Declaration
from mle_jax.parameters.real import Real
from mle_jax.parameters.simplex import Simplex
from mle_jax.parameters.space import ParameterSpace

KINDS = (Real, Positive, Interval, Simplex, Ordered, Covariance, Fixed)
ColumnNames = Mapping[str, tuple[str, ...] | None]


def resolve(
    parameters: Any | Callable[[Any], Any], data_shapes: Any, *, column_names: ColumnNames | None = None
) -> ParameterSpace:
    """Give every declared parameter its shape and its names.

    Args:
        parameters: a pytree of declarations, or a function of `data_shapes` that returns one.
        data_shapes: the data with `jax.ShapeDtypeStruct` in place of arrays; may be None if no declaration needs it.
        column_names: for data leaves whose columns have names, these names.

    Returns:
        The parameter space. A single declaration that is not in a container is called ``params``.

    Raises:
        TypeError: if a leaf is not a declaration.
        ValueError: if ``columns=`` names a data leaf that is missing or has no columns, or if two entries would have
            the same name.

    Example:
        >>> import jax
        >>> from mle_jax import Positive, Real
        >>> from mle_jax.parameters import resolve
        >>> shapes = {"x": jax.ShapeDtypeStruct((235, 2), "float64")}
        >>> declared = {"w": Real(columns="x"), "sigma": Positive()}
        >>> resolve(declared, shapes, column_names={"x": ("intercept", "income")}).names
        ('w[intercept]', 'w[income]', 'sigma')
    """
    parameters = declarations(parameters, data_shapes)
    tree = named_leaves(parameters, root="params")
    if not tree.leaves:
        raise ValueError(f"the parameters are {parameters!r}; declare at least one, such as {{'mu': Real()}}")
    for name, leaf in zip(tree.names, tree.leaves, strict=True):
        _refuse_other_kinds(name, leaf)
    _refuse_repeats(tree.names)
    data = named_leaves(data_shapes, root="data")
    known = column_names or {}
    declared = tuple(_sized(name, leaf, data, known) for name, leaf in zip(tree.names, tree.leaves, strict=True))
    labels = tuple(leaf.entry_labels(name) for name, leaf in zip(tree.names, declared, strict=True))
    _refuse_repeats([label for group in labels for label in group])
    return ParameterSpace(
        leaf_names=tree.names,
        declarations=declared,
        treedef=jax.tree_util.tree_structure(parameters),
        order=tuple(jax.tree_util.tree_leaves(tree.rebuild(range(len(tree.leaves))))),
        labels=labels,
    )


def declarations(parameters: Any | Callable[[Any], Any], data_shapes: Any) -> Any:
    """Return the pytree of declarations, which may be given as a function of the data's shapes."""
    is_function = callable(parameters) and not isinstance(parameters, type)
    return parameters(data_shapes) if is_function else parameters


def leaves_with_columns(parameters: Any | Callable[[Any], Any], data_shapes: Any) -> frozenset[str]:
    """Return the names of the data leaves whose columns give a parameter its size: those named by ``columns=``.

    Args:
        parameters: as for `resolve`.
        data_shapes: as for `resolve`.
    """
    leaves = named_leaves(declarations(parameters, data_shapes)).leaves
    declared = (getattr(leaf, "columns", None) for leaf in leaves)
    return frozenset(name for name in declared if name is not None)


def _refuse_other_kinds(name: str, leaf: Any) -> None:
    """Raise if a leaf of the parameters is not a declaration."""
    if isinstance(leaf, KINDS):
        return
    if isinstance(leaf, type) and issubclass(leaf, KINDS):
        needs = {Interval: "low, high", Simplex: "size", Ordered: "size", Covariance: "size", Fixed: "value"}
        call = f"{leaf.__name__}({needs.get(leaf, '')})"
        raise TypeError(f"'{name}' is the class {leaf.__name__}, but must be a declaration; write {call}")
    example = f"Fixed({leaf!r})" if isinstance(leaf, int | float) else "Fixed(value)"
    raise TypeError(
        f"'{name}' is {leaf!r}, but must be a declaration; declare it as Real(), Positive(), Interval(low, high), "
        f"Simplex(size), Ordered(size), Covariance(size) or {example}"
    )


def _refuse_repeats(names: Any) -> None:
    """Raise if a name stands for two things."""
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise ValueError(f"two parameters or entries are called {listing(repeated)}; rename one")


def _sized(name: str, declared: Any, data: NamedLeaves, column_names: ColumnNames) -> Declaration:
    """Return a declaration with its shape and labels, looked up in the data if it says ``columns=``."""
    columns = getattr(declared, "columns", None)
    if columns is None:
        return declared
    asked = f"'{name}' is declared with columns='{columns}', but"
    if columns not in data.names:
        there = f"the data leaves are {listing(data.names)}" if data.names else "there are no data leaves"
        raise ValueError(f"{asked} {there}; name one of them")
    shape = tuple(data.leaves[data.names.index(columns)].shape)
    if len(shape) < 2:
        advice = f"reshape it to ({shape[0]}, 1)" if shape else "give it a row per observation and a column per entry"
        raise ValueError(f"{asked} data leaf '{columns}' has shape {shape} and thus no columns; {advice}")
    labels = column_names.get(columns)
    if labels is not None and len(labels) != shape[-1]:
        raise ValueError(f"{asked} data leaf '{columns}' has {shape[-1]} columns and {len(labels)} column names")
    try:
        return replace(declared, shape=shape[-1], columns=None, labels=labels)
    except ValueError as error:
        raise ValueError(f"'{name}', declared with columns='{columns}' of shape {shape}: {error}") from error
