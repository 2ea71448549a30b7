"""The log densities once more, in their textbook form, for mpmath: at 420 digits no cancellation matters.

Each function takes the inputs of the library's function of the same name, in the same order. None of the library's code
is used, nor any of its rearrangements.
"""

import mpmath as mp


def _between(low_cdf, high_cdf, low_survival, high_survival):
    """Return log(F(high) - F(low)) from the smaller tails."""
    if high_survival < low_cdf:
        return mp.log(low_survival - high_survival)
    return mp.log(high_cdf - low_cdf)


def _cdf_normal(z):
    return mp.erfc(-z / mp.sqrt(2)) / 2


def normal_log_density(y, mean, sd):
    return -(((y - mean) / sd) ** 2) / 2 - mp.log(2 * mp.pi) / 2 - mp.log(sd)


def normal_log_cdf(y, mean, sd):
    return mp.log(_cdf_normal((y - mean) / sd))


def normal_log_survival(y, mean, sd):
    return mp.log(_cdf_normal((mean - y) / sd))


def normal_log_interval(low, high, mean, sd):
    a, b = (low - mean) / sd, (high - mean) / sd
    return _between(_cdf_normal(a), _cdf_normal(b), _cdf_normal(-a), _cdf_normal(-b))


def poisson_log_density(y, mean):
    return y * mp.log(mean) - mean - mp.loggamma(y + 1)


def poisson_log_density_log_mean(y, log_mean):
    return y * log_mean - mp.exp(log_mean) - mp.loggamma(y + 1)


def _log_choose(n, y):
    return mp.loggamma(n + 1) - mp.loggamma(y + 1) - mp.loggamma(n - y + 1)


def binomial_log_density(y, trials, p):
    return _log_choose(trials, y) + (y * mp.log(p) if y else 0) + ((trials - y) * mp.log(1 - p) if trials - y else 0)


def binomial_log_density_logit(y, trials, logit):
    return _log_choose(trials, y) + y * logit - trials * mp.log(1 + mp.exp(logit))


def _rising(y, a):
    """Return the sum of log(1 + j a), j < y; a is a little below 0 when differences are taken at 0."""
    if y <= 300 or a <= 0:
        return mp.log(mp.fprod(1 + j * a for j in range(int(y))))
    return mp.loggamma(y + 1 / a) - mp.loggamma(1 / a) + y * mp.log(a)


def negative_binomial_log_density(y, mean, dispersion):
    none = mp.log(1 + dispersion * mean) / dispersion if dispersion else mean
    some = _rising(y, dispersion) - mp.loggamma(y + 1) + y * mp.log(mean / (1 + dispersion * mean))
    return some - none


def negative_binomial_log_density_linear(y, mean, dispersion):
    return negative_binomial_log_density(y, mean, dispersion / mean)


def beta_binomial_log_density(y, trials, mean, correlation):
    t = correlation / (1 - correlation)
    risen = mp.fprod(mean + j * t for j in range(int(y))) * mp.fprod(1 - mean + j * t for j in range(int(trials - y)))
    return _log_choose(trials, y) + mp.log(risen) - mp.log(mp.fprod(1 + j * t for j in range(int(trials))))


def student_t_log_density(y, location, scale, df):
    z = (y - location) / scale
    constant = mp.loggamma((df + 1) / 2) - mp.loggamma(df / 2) - mp.log(df * mp.pi) / 2 - mp.log(scale)
    return constant - (df + 1) / 2 * mp.log(1 + z**2 / df)


def gamma_log_density(y, mean, shape):
    return shape * mp.log(shape / mean) + (shape - 1) * mp.log(y) - shape * y / mean - mp.loggamma(shape)


def beta_log_density(y, mean, precision):
    a, b = mean * precision, (1 - mean) * precision
    constant = mp.loggamma(precision) - mp.loggamma(a) - mp.loggamma(b)
    return constant + (a - 1) * mp.log(y) + (b - 1) * mp.log(1 - y)


def exponential_log_density(y, mean):
    return -y / mean - mp.log(mean)


def exponential_log_cdf(y, mean):
    return mp.log(1 - mp.exp(-y / mean))


def exponential_log_survival(y, mean):
    return -y / mean


def exponential_log_interval(low, high, mean):
    return mp.log(mp.exp(-low / mean) - mp.exp(-high / mean))


def logistic_log_density(y, location, scale):
    z = (y - location) / scale
    return -z - 2 * mp.log(1 + mp.exp(-z)) - mp.log(scale)


def _cdf_logistic(z):
    return 1 / (1 + mp.exp(-z))


def logistic_log_cdf(y, location, scale):
    return mp.log(_cdf_logistic((y - location) / scale))


def logistic_log_survival(y, location, scale):
    return mp.log(_cdf_logistic((location - y) / scale))


def logistic_log_interval(low, high, location, scale):
    a, b = (low - location) / scale, (high - location) / scale
    return _between(_cdf_logistic(a), _cdf_logistic(b), _cdf_logistic(-a), _cdf_logistic(-b))


def lognormal_log_density(y, location, scale):
    return normal_log_density(mp.log(y), location, scale) - mp.log(y)


def lognormal_log_cdf(y, location, scale):
    return normal_log_cdf(mp.log(y), location, scale)


def lognormal_log_survival(y, location, scale):
    return normal_log_survival(mp.log(y), location, scale)


def lognormal_log_interval(low, high, location, scale):
    return normal_log_interval(mp.log(low), mp.log(high), location, scale)


def weibull_log_density(y, scale, shape):
    return mp.log(shape / scale) + (shape - 1) * mp.log(y / scale) - (y / scale) ** shape


def weibull_log_survival(y, scale, shape):
    return -((y / scale) ** shape)


def weibull_log_cdf(y, scale, shape):
    return mp.log(-mp.expm1(-((y / scale) ** shape)))


def weibull_log_interval(low, high, scale, shape):
    a, b = (low / scale) ** shape, (high / scale) ** shape
    return -a + mp.log(-mp.expm1(a - b))


def inverse_gaussian_log_density(y, mean, shape):
    return mp.log(shape / (2 * mp.pi * y**3)) / 2 - shape * (y - mean) ** 2 / (2 * mean**2 * y)


def truncated_log_density(y, mean, sd, low, high):
    return normal_log_density(y, mean, sd) - normal_log_interval(low, high, mean, sd)


def laplace_log_density(y, location, scale):
    return -abs(y - location) / scale - mp.log(2 * scale)


def _cdf_laplace(z):
    return mp.exp(z) / 2 if z < 0 else 1 - mp.exp(-z) / 2


def _cdf_cauchy(z):
    return mp.acot(-z) / mp.pi if z < 0 else mp.mpf(1) / 2 + mp.atan(z) / mp.pi


def _cdf_gumbel(z):
    return mp.exp(-mp.exp(-z))


def _survival_gumbel(z):
    return -mp.expm1(-mp.exp(-z))


def laplace_log_cdf(y, location, scale):
    return mp.log(_cdf_laplace((y - location) / scale))


def laplace_log_survival(y, location, scale):
    return mp.log(_cdf_laplace((location - y) / scale))


def laplace_log_interval(low, high, location, scale):
    a, b = (low - location) / scale, (high - location) / scale
    return _between(_cdf_laplace(a), _cdf_laplace(b), _cdf_laplace(-a), _cdf_laplace(-b))


def cauchy_log_density(y, location, scale):
    return -mp.log(mp.pi * scale * (1 + ((y - location) / scale) ** 2))


def cauchy_log_cdf(y, location, scale):
    return mp.log(_cdf_cauchy((y - location) / scale))


def cauchy_log_survival(y, location, scale):
    return mp.log(_cdf_cauchy((location - y) / scale))


def cauchy_log_interval(low, high, location, scale):
    a, b = (low - location) / scale, (high - location) / scale
    return _between(_cdf_cauchy(a), _cdf_cauchy(b), _cdf_cauchy(-a), _cdf_cauchy(-b))


def gumbel_log_density(y, location, scale):
    z = (y - location) / scale
    return -z - mp.exp(-z) - mp.log(scale)


def gumbel_log_cdf(y, location, scale):
    return -mp.exp((location - y) / scale)


def gumbel_log_survival(y, location, scale):
    return mp.log(_survival_gumbel((y - location) / scale))


def gumbel_log_interval(low, high, location, scale):
    a, b = (low - location) / scale, (high - location) / scale
    return _between(_cdf_gumbel(a), _cdf_gumbel(b), _survival_gumbel(a), _survival_gumbel(b))


def _reduced(z, shape):
    return mp.log(1 + shape * z) / shape if shape else z


def gev_log_density(y, location, scale, shape):
    t = _reduced((y - location) / scale, shape)
    return -(1 + shape) * t - mp.exp(-t) - mp.log(scale)


def gev_log_cdf(y, location, scale, shape):
    return gumbel_log_cdf(_reduced((y - location) / scale, shape), 0, 1)


def gev_log_survival(y, location, scale, shape):
    return gumbel_log_survival(_reduced((y - location) / scale, shape), 0, 1)


def gev_log_interval(low, high, location, scale, shape):
    ends = (_reduced((y - location) / scale, shape) for y in (low, high))
    return gumbel_log_interval(*ends, 0, 1)


def gpd_log_density(y, scale, shape):
    return -(1 + shape) * _reduced(y / scale, shape) - mp.log(scale)


def gpd_log_cdf(y, scale, shape):
    return mp.log(-mp.expm1(-_reduced(y / scale, shape)))


def gpd_log_survival(y, scale, shape):
    return -_reduced(y / scale, shape)


def gpd_log_interval(low, high, scale, shape):
    return mp.log(mp.exp(-_reduced(low / scale, shape)) - mp.exp(-_reduced(high / scale, shape)))


def pareto_log_density(y, minimum, shape):
    return mp.log(shape) + shape * mp.log(minimum) - (shape + 1) * mp.log(y)


def pareto_log_cdf(y, minimum, shape):
    return mp.log(1 - (minimum / y) ** shape)


def pareto_log_survival(y, minimum, shape):
    return shape * mp.log(minimum / y)


def pareto_log_interval(low, high, minimum, shape):
    return mp.log((minimum / low) ** shape - (minimum / high) ** shape)


def geometric_log_density(y, probability):
    return mp.log(probability) + (y * mp.log(1 - probability) if y else 0)


def categorical_log_density(y, a, b, c):
    return (a, b, c)[int(y)] - mp.log(mp.exp(a) + mp.exp(b) + mp.exp(c))


def ordered_log_density(y, linear, a, b, cdf=_cdf_logistic):
    first, second = a - linear, b - linear
    if y == 0:
        return mp.log(cdf(first))
    if y == 2:
        return mp.log(cdf(-second))
    return _between(cdf(first), cdf(second), cdf(-first), cdf(-second))


def ordered_log_density_probit(y, linear, a, b):
    return ordered_log_density(y, linear, a, b, _cdf_normal)


def von_mises_log_density(y, location, concentration):
    return concentration * mp.cos(y - location) - mp.log(2 * mp.pi * mp.besseli(0, concentration))


def multivariate_normal_log_density(y0, y1, l00, l10, l11):
    first = y0 / l00
    second = (y1 - l10 * first) / l11
    return -(first**2 + second**2) / 2 - mp.log(l00 * l11) - mp.log(2 * mp.pi)


def zero_inflated_log_density(y, logit, mean):
    q = 1 / (1 + mp.exp(-logit))
    some = mp.exp(poisson_log_density(y, mean)) / (1 + mp.exp(logit))
    return mp.log(q + some) if y == 0 else mp.log(some)


def zero_inflated_log_density_hurdle(y, logit, mean):
    if y == 0:
        return -mp.log(1 + mp.exp(-logit))
    return poisson_log_density(y, mean) - mp.log(1 - mp.exp(-mean)) - mp.log(1 + mp.exp(logit))


def _tail_forms(cdf, survival):
    """Return the log cdf, log survival and log interval of a family from its two tails."""

    def log_interval(low, high, *parameters):
        ends = (cdf(low, *parameters), cdf(high, *parameters), survival(low, *parameters), survival(high, *parameters))
        return _between(*ends)

    return lambda *at: mp.log(cdf(*at)), lambda *at: mp.log(survival(*at)), log_interval


def _lower_gamma(y, mean, shape):
    """Return the regularized incomplete gamma function by its series, all of whose terms are positive."""
    x = shape * y / mean
    term = total = mp.exp(shape * mp.log(x) - x - mp.loggamma(shape + 1))
    n = 1
    while term > total * mp.eps:
        term *= x / (shape + n)
        total += term
        n += 1
    return total


gamma_log_cdf, gamma_log_survival, gamma_log_interval = _tail_forms(_lower_gamma, lambda *at: 1 - _lower_gamma(*at))
beta_log_cdf, beta_log_survival, beta_log_interval = _tail_forms(
    lambda y, mean, precision: mp.betainc(mean * precision, (1 - mean) * precision, 0, y, regularized=True),
    lambda y, mean, precision: mp.betainc((1 - mean) * precision, mean * precision, 0, 1 - y, regularized=True),
)


def _upper_t(z, df):
    if z < 0:
        return 1 - _upper_t(-z, df)
    return mp.betainc(df / 2, mp.mpf(1) / 2, 0, df / (df + z**2), regularized=True) / 2


student_t_log_cdf, student_t_log_survival, student_t_log_interval = _tail_forms(
    lambda y, location, scale, df: _upper_t((location - y) / scale, df),
    lambda y, location, scale, df: _upper_t((y - location) / scale, df),
)


def _wald(y, mean, shape, sign):
    """Return P(Y <= y) for sign 1, P(Y > y) for sign -1."""
    a, b = (mp.sqrt(shape / y) * (y / mean + s) for s in (-1, 1))
    return _cdf_normal(sign * a) + sign * mp.exp(2 * shape / mean) * _cdf_normal(-b)


inverse_gaussian_log_cdf, inverse_gaussian_log_survival, inverse_gaussian_log_interval = _tail_forms(
    lambda y, mean, shape: _wald(y, mean, shape, 1),
    lambda y, mean, shape: _wald(y, mean, shape, -1),
)
