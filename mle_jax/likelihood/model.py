"""`Model`: what is believed about the data."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jax import Array

from mle_jax._trees import lists_to_arrays
from mle_jax.likelihood import evaluation
from mle_jax.likelihood.layout import check_call, model_space
from mle_jax.likelihood.programs import program
from mle_jax.parameters import ParameterSpace

if TYPE_CHECKING:
    from mle_jax.gradients import GradientReport


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """Declare a model by the log density of one observation and its parameters.

    log-likelihood(params) = sum over rows of w_i * log_density(params, row_i)

    The library maps the log density over the rows, so rows are independent by construction. 0-d leaves of the data
    and those named in `constants` are shared by all rows. Define a model once and use it for every dataset: programs
    are compiled per model and per shape of the data, and data are always arguments. Models compare by identity.

    Args:
        log_density: ``log_density(params, row) -> scalar``, written with jax.numpy.
        parameters: pytree (usually a dict) of `Real`, `Positive`, ..., or a function ``data -> such a pytree`` that
            sees shapes and dtypes only.
        gradient: handwritten ``gradient(params, data)`` of the total log-likelihood, laid out as `jax.grad` returns
            it. It is an assertion to be checked (`check_gradient`); it drives a fit only on request.
        name: the name used in tables and messages.
        start: ``start(data) -> params``, start values from the data.
        expected_information: ``(params, data) -> (k, k)``, natural scale, order of the flat names.
        closed_form: ``closed_form(data, weights) -> params``, an exact maximizer; weights may be None. Where the log
            density has kinks it may return an `ExactMaximum`, with the proof that derivatives cannot give. With a third
            argument named ``fixed`` it also answers where entries are fixed: it is None, or has ``fixed.entries`` (a
            pytree like params of NumPy bool arrays, True where fixed) and ``fixed.values`` (a pytree like params).
            Without it, fits with fixed entries are left to the search.
        smooth: False where the log density has kinks in the parameters.
        constants: names of data leaves that all rows share.
        simulate: ``simulate(key, params, row) -> row``, the row with the response drawn anew (of `Model.joint` the
            whole dataset).
        predict: ``predict(params, row) -> pytree``.

    Raises:
        TypeError: something that must be a function is not, or constants is not a sequence of names.

    Example:
        >>> import jax.numpy as jnp
        >>> import mle_jax as mle
        >>> def log_density(params, row):
        ...     return jnp.log(params["rate"]) - params["rate"] * row["t"]
        >>> model = mle.Model(log_density, {"rate": mle.Positive()}, name="exponential")
        >>> fit = mle.fit(model, {"t": [1.0, 2.0, 6.0]})
        >>> round(float(fit.params["rate"]), 6)  # 1 / mean
        0.333333
    """

    log_density: Callable[[Any, Any], Array]
    parameters: Any
    gradient: Callable[[Any, Any], Any] | None = field(default=None, kw_only=True)
    name: str | None = field(default=None, kw_only=True)
    start: Callable[[Any], Any] | None = field(default=None, kw_only=True)
    expected_information: Callable[[Any, Any], Array] | None = field(default=None, kw_only=True)
    closed_form: Callable[..., Any] | None = field(default=None, kw_only=True)
    smooth: bool = field(default=True, kw_only=True)
    constants: Sequence[str] = field(default=(), kw_only=True)
    simulate: Callable[[Array, Any, Any], Any] | None = field(default=None, kw_only=True)
    predict: Callable[[Any, Any], Any] | None = field(default=None, kw_only=True)
    n_observations: int | Callable[[Any], int] | None = field(default=None, init=False)
    is_joint: bool = field(default=False, init=False)
    _programs: dict[Any, Callable[..., Any]] = field(default_factory=dict, init=False)
    _pieces: set[Any] = field(default_factory=set, init=False)
    _spaces: dict[Any, ParameterSpace] = field(default_factory=dict, init=False)
    _checked: set[Any] = field(default_factory=set, init=False)
    _work: dict[Any, int] = field(default_factory=dict, init=False)
    _searched: Counter[int] = field(default_factory=Counter, init=False)

    def __post_init__(self) -> None:
        """Check the kinds of the arguments; everything that needs data is checked by the verbs."""
        for role in ("log_density", "gradient", "start", "expected_information", "closed_form", "simulate", "predict"):
            value = getattr(self, role)
            if not callable(value) and (value is not None or role == "log_density"):
                raise TypeError(f"Model was given {role}={value!r}, but it must be a function")
        if isinstance(self.constants, str) or not all(isinstance(c, str) for c in self.constants):
            raise TypeError(
                f"Model was given constants={self.constants!r}, but it must be a sequence of leaf names; "
                'write constants=("knots",)'
            )
        object.__setattr__(self, "constants", tuple(self.constants))

    @classmethod
    def joint(
        cls,
        log_likelihood: Callable[[Any, Any], Array],
        parameters: Any,
        *,
        n_observations: int | Callable[[Any], int] | None = None,
        **options: Any,
    ) -> "Model":
        """Declare a model by the log-likelihood of the whole dataset (time series, spatial models).

        Leaves need no common first axis. What needs independent rows (weights, sandwich covariance, row bootstrap)
        raises with the reason.

        Args:
            log_likelihood: ``log_likelihood(params, data)``, a scalar or an array (n,) of contributions.
            parameters: as for `Model`.
            n_observations: number of observations, or ``data -> number``; by default the number of contributions,
                or else the common length of the leaves.
            options: the keyword arguments of `Model`, but for `constants`.

        Raises:
            TypeError: an option that is not one of `Model`.

        Example:
            >>> import jax.numpy as jnp
            >>> import mle_jax as mle
            >>> def log_likelihood(params, data):  # AR(1) with unit variance, given the first value
            ...     return -0.5 * ((data["y"][1:] - params["rho"] * data["y"][:-1]) ** 2).sum()
            >>> model = mle.Model.joint(log_likelihood, {"rho": mle.Real()})
            >>> round(float(mle.fit(model, {"y": [1.0, 0.5, 0.5, 0.0]}).params["rho"]), 6)
            0.5
        """
        if "constants" in options:
            raise TypeError("Model.joint takes no constants: its function sees the whole dataset anyway")
        model = cls(log_likelihood, parameters, **options)
        object.__setattr__(model, "is_joint", True)
        object.__setattr__(model, "n_observations", n_observations)
        return model

    @property
    def label(self) -> str:
        """The name for tables and messages."""
        return self.name or str(getattr(self.log_density, "__name__", type(self.log_density).__name__))

    def __repr__(self) -> str:
        """Show the name and the declaration."""
        return f"Model({self.label}, {self.parameters!r})"

    def log_likelihood(self, params: Any, data: Any, weights: Any = None) -> Array:
        """Return the total log-likelihood: ``sum_i w_i l_i(params)``.

        Compiled, pure and usable inside `jax.jit`, `jax.vmap` and `jax.grad`. It follows the caller's precision:
        called with JAX's 64-bit flag off it computes in float32.

        Args:
            params: pytree laid out like the declaration, natural scale.
            data: pytree of arrays with a common first axis n.
            weights: (n,) or None; a row of weight zero is left out, whatever it contains.

        Returns:
            A scalar JAX array.

        Raises:
            TypeError, ValueError, KeyError: params, data or the log density do not fit together.

        Example:
            >>> import mle_jax as mle
            >>> model = mle.models.gaussian_mean(variance=1.0)
            >>> round(float(model.log_likelihood({"mu": 0.0}, {"y": [0.0, 1.0]})), 5)  # -log(2 pi) - 1/2
            -2.33788
        """
        return self._run(evaluation.log_likelihood, params, data, weights)

    def contributions(self, params: Any, data: Any, weights: Any = None) -> Array:
        """Return the contributions ``w_i l_i(params)`` of the rows, shape (n,).

        Arguments, precision and errors as in `log_likelihood`.

        Example:
            >>> import mle_jax as mle
            >>> model = mle.models.gaussian_mean(variance=1.0)
            >>> model.contributions({"mu": 0.0}, {"y": [0.0, 1.0]}).shape
            (2,)
        """
        return self._run(evaluation.contributions, params, data, weights)

    def score(self, params: Any, data: Any, weights: Any = None) -> Any:
        """Return the gradient of the total log-likelihood by automatic differentiation, a pytree like params.

        Arguments, precision and errors as in `log_likelihood`.

        Example:
            >>> import mle_jax as mle
            >>> model = mle.models.gaussian_mean(variance=2.0)
            >>> float(model.score({"mu": 0.0}, {"y": [1.0, 3.0]})["mu"])  # sum (y - mu) / variance
            2.0
        """
        return self._run(evaluation.score, params, data, weights)

    def scores(self, params: Any, data: Any, weights: Any = None) -> Any:
        """Return the gradient of every contribution, a pytree like params with a leading axis of n.

        Arguments, precision and errors as in `log_likelihood`.

        Example:
            >>> import mle_jax as mle
            >>> model = mle.models.gaussian_mean(variance=2.0)
            >>> model.scores({"mu": 0.0}, {"y": [1.0, 3.0]})["mu"].tolist()
            [0.5, 1.5]
        """
        return self._run(evaluation.scores, params, data, weights)

    def hessian(self, params: Any, data: Any, weights: Any = None) -> Array:
        """Return the second derivatives of the total log-likelihood, shape (k, k), natural scale.

        Rows and columns are in the order of the flat names (the order of declaration). Arguments, precision and
        errors as in `log_likelihood`.

        Example:
            >>> import mle_jax as mle
            >>> model = mle.models.gaussian_mean(variance=2.0)
            >>> model.hessian({"mu": 0.0}, {"y": [1.0, 3.0]}).tolist()  # -n / variance
            [[-1.0]]
        """
        return self._run(evaluation.hessian, params, data, weights, space=model_space(self, data))

    def check_gradient(self, data: Any, params: Any = None, **options: Any) -> "GradientReport":
        """Hold the handwritten gradient against automatic differentiation and finite differences.

        Checks at `params` and at random points of the domain around it. Without a handwritten gradient, automatic
        differentiation is held against finite differences.

        Args:
            data: pytree of arrays.
            params: the point; by default the start values.
            options: keyword arguments of `mle_jax.check_gradient` (`dtype`, `seed`).

        Returns:
            A `GradientReport`: a row per named coordinate, a verdict, and what seems to be wrong.

        Raises:
            TypeError, ValueError, KeyError: params, data or the log density do not fit together.

        Example:
            >>> import mle_jax as mle
            >>> report = mle.models.gaussian().check_gradient({"y": [1.0, 2.0, 4.0]})
            >>> report.passed
            True
        """
        from mle_jax.likelihood.gradient_checks import check_model_gradient  # which a fit does without

        return check_model_gradient(self, data, params, **options)

    def _run(self, function: Callable[..., Any], params: Any, data: Any, weights: Any, **static: Any) -> Any:
        params, data = lists_to_arrays(params), lists_to_arrays(data)
        check_call(self, params, data)
        return program(self, function, **static)(params, data, weights)
