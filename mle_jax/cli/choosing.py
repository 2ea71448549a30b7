"""Which columns of a file a fit is about: read from the options, held against what the model reads."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from mle_jax._text import listing

INTERCEPT = "intercept"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What the user chose from a file.

    Attributes:
        response: the column that becomes the leaf y.
        features: the columns that become the leaf x, without the intercept; None for a model without features.
        intercept: whether a column of ones goes before them.
        leaves: further leaves of the model and their columns: several for a leaf that is a matrix.
        ones: whether a column of ones goes before the columns of such a leaf.
        weights: the column of frequency weights, if any.
    """

    response: str
    features: tuple[str, ...] | None
    intercept: bool
    leaves: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    ones: bool = False
    weights: str | None = None

    @property
    def x_names(self) -> tuple[str, ...]:
        """The names of the columns of x."""
        return (INTERCEPT,) * self.intercept + (self.features or ())

    @property
    def columns(self) -> dict[str, str | tuple[str, ...]]:
        """Leaf name to column names, as `mle_jax.fit` takes them, the intercept among them."""
        chosen: dict[str, str | tuple[str, ...]] = {"y": self.response}
        for leaf, names in self.leaves.items():
            chosen[leaf] = names if isinstance(names, str) else (INTERCEPT,) * self.ones + names
        return chosen if self.features is None else chosen | {"x": self.x_names}

    @property
    def adds_ones(self) -> bool:
        """Whether the column of ones has a place somewhere."""
        return self.intercept or (self.ones and bool(self.matrices))

    @property
    def matrices(self) -> dict[str, tuple[str, ...]]:
        """The further leaves that are matrices, and the columns of the file in them."""
        return {leaf: names for leaf, names in self.leaves.items() if not isinstance(names, str)}

    def options(self) -> list[tuple[str, str]]:
        """Pair every chosen column with the option that chose it."""
        pairs = [("--response", self.response), *(("--features", name) for name in self.features or ())]
        for names in self.leaves.values():
            pairs += [("--leaf", name) for name in ((names,) if isinstance(names, str) else names)]
        return pairs + ([("--weights", self.weights)] if self.weights is not None else [])


def choose(
    model_name: str,
    leaves_read: Sequence[str],
    *,
    response: str,
    features: Sequence[str],
    intercept: bool,
    leaves: Mapping[str, str | tuple[str, ...]],
    weights: str | None,
    level: str | None = None,
) -> Choice:
    """Check the choice of columns against what the model reads.

    Args:
        model_name: of the model.
        leaves_read: the leaves that it reads.
        response: the column that becomes the leaf y.
        features: the columns that become the leaf x.
        intercept: whether a column of ones is wanted.
        leaves: further leaves and their columns, from `split_leaves`.
        weights: the column of frequency weights, if any.
        level: the parameter of the model that has the place of an intercept of x, if any: x then gets none.

    Raises:
        ValueError: the model needs other data than were chosen.
    """
    has_features = "x" in leaves_read
    if features and not has_features:
        raise ValueError(
            f"--features names {listing(features)}, but {model_name} has no features; leave --features out"
        )
    if has_features and not features and level is not None:
        raise ValueError(f"{model_name} has no features, and '{level}' has the place of an intercept; name --features")
    if has_features and not features and not intercept:
        raise ValueError(f"{model_name} has neither features nor an intercept; name --features or allow the intercept")
    further = [leaf for leaf in leaves_read if leaf not in ("x", "y")]
    unknown = [leaf for leaf in leaves if leaf not in further]
    if unknown:
        known = f"its further data are {listing(further)}" if further else "it has no further data; leave --leaf out"
        raise ValueError(f"--leaf names {listing(unknown)}, but {model_name} reads no such data; {known}")
    lacking = [leaf for leaf in further if leaf not in leaves]
    if lacking:
        raise ValueError(f"{model_name} also reads {listing(lacking)}; pass --leaf {lacking[0]}=COLUMN")
    choice = Choice(
        response=response,
        features=tuple(features) if has_features else None,
        intercept=intercept and has_features and level is None,
        leaves=dict(leaves),
        ones=intercept,
        weights=weights,
    )
    _refuse_overlaps(choice)
    return choice


def split_features(given: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """Split what --features was given at commas, except where it is the name of a column as it stands.

    Raises:
        ValueError: it was given, but names nothing, as an empty variable of a shell would.
    """
    features = _split(given, names)
    if given and not features:
        raise ValueError(f"--features {given[0]!r} names no column; name one, or leave --features out")
    return features


def _split(given: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    parts = [part for text in given for part in ([text] if text in names else text.split(","))]
    return tuple(part if part in names else part.strip() for part in parts if part.strip())


def split_leaves(
    given: Sequence[tuple[str, str]], names: Sequence[str], *, read: Collection[str], matrices: Collection[str]
) -> dict[str, str | tuple[str, ...]]:
    """Read what --leaf was given: one column, or for a leaf that is a matrix one or several, split like --features.

    Args:
        given: pairs of a leaf and its column or columns.
        names: the columns of the file.
        read: the leaves that the model reads; about others there is nothing to say here.
        matrices: those of them that are matrices.

    Raises:
        ValueError: a leaf of one column is given twice or several columns, or a matrix none.
    """
    leaves: dict[str, str | tuple[str, ...]] = {}
    for leaf, text in given:
        words = [word for other, word in given if other == leaf]
        if leaf in matrices:
            leaves[leaf] = columns = _split(words, names)
            if not columns:
                raise ValueError(f"--leaf {leaf}={text} names no column; name one, or leave --leaf out")
            continue
        if len(words) > 1 and leaf in read:
            raise ValueError(f"--leaf names columns for '{leaf}' twice; it is one number per row, so name one column")
        several = text not in names and "," in text and all(part.strip() in names for part in text.split(","))
        if several and leaf in read:
            raise ValueError(
                f"--leaf {leaf}={text} names several columns, but '{leaf}' is one number per row; name one column"
            )
        leaves[leaf] = text
    return leaves


def _refuse_overlaps(choice: Choice) -> None:
    """Raise where one column would stand in two places that exclude each other."""
    features = choice.features or ()
    for option, names in (("--features", features), *((f"--leaf {leaf}", n) for leaf, n in choice.matrices.items())):
        if choice.response in names:
            what = "a feature" if option == "--features" else f"in {option}"
            raise ValueError(f"'{choice.response}' is the response and {what}; leave it out of {option}")
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise ValueError(f"{option} names {listing(twice)} twice; name each column once")
        if choice.adds_ones and INTERCEPT in names:
            raise ValueError(
                f"{option} names '{INTERCEPT}', which the command adds; leave it out, or keep yours by --no-intercept"
            )
    if choice.adds_ones and INTERCEPT in (choice.response, *choice.leaves.values(), choice.weights):
        raise ValueError(f"the column '{INTERCEPT}' has the name of the column that the command adds; rename it")
