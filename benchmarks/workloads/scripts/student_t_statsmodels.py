"""Fit a likelihood of one's own and print the table: ``python student_t_statsmodels.py N``."""

import sys

import numpy as np
from scipy.special import gammaln
from statsmodels.base.model import GenericLikelihoodModel

rng = np.random.default_rng(8)
x = rng.standard_normal((int(sys.argv[1]), 3))
x[:, 0] = 1.0
y = x @ np.ones(3) + rng.standard_t(5, size=len(x))


class StudentT(GenericLikelihoodModel):
    def loglikeobs(self, params):
        scale, df = np.exp(params[-2:])
        z = (self.endog - self.exog @ params[:-2]) / scale
        constant = gammaln((df + 1) / 2) - gammaln(df / 2) - np.log(np.pi * df) / 2 - np.log(scale)
        return constant - (df + 1) / 2 * np.log1p(z * z / df)


model = StudentT(y, x, extra_params_names=["log scale", "log df"])
start = np.append(np.linalg.lstsq(x, y, rcond=None)[0], np.log([np.std(y), 10.0]))
fit = model.fit(start_params=start, method="bfgs", gtol=1e-8, disp=0)
print(fit.summary())
print("answer", *fit.params[:-2], *np.exp(fit.params[-2:]))
