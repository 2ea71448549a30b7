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
