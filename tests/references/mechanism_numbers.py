"""The numbers behind the `[[check]]` entries of the catalogue, by mpmath with 30 digits.

Written from the printed formulas, in SI-free millivolts and milliseconds, and independent of
somaflow: run `python tests/references/mechanism_numbers.py` to print them (needs mpmath).
"""

from mpmath import exp, mp, mpf

mp.dps = 30


def linear(a, b, c):
    """a (b - u)/(exp((b - u)/c) - 1), or its limit."""
    return lambda u: a * c if u == b else a * (b - u) / (exp((b - u) / c) - 1)


phi = mpf(3) ** (mpf(-14) / 10)
phi_a = mpf(3) ** (mpf("12.5") / 10)
v = mpf(-35) + mpf("0.5")
u = v + 50
numbers = {
    "na_traub1991 at v=-34.5": {
        "alpha_m": phi * linear(mpf("0.32"), 13, mpf(4))(u),
        "beta_m": phi * mpf("0.28") * (u - 40) / (exp((u - 40) / 5) - 1),
        "alpha_h": phi * mpf("0.128") * exp((17 - u) / 18),
        "beta_h": phi * 4 / (exp((40 - u) / 5) + 1),
    },
    "na_traub1991 at v=-37": {"alpha_m": phi * mpf("1.28")},
    "na_traub1991 at v=-10": {"beta_m": phi * mpf("1.4")},
    "k_traub1991 at v=-34.5": {
        "alpha_n": phi * linear(mpf("0.02"), 15, mpf(5))(u),
        "beta_n": phi * mpf("0.5") * exp((10 - u) / 40),
    },
    "k_traub1991 at v=-35": {"alpha_n": phi / 10},
    "ka at v=-70": {
        "m_inf": 1 / (1 + exp(-(mpf(-70) + 60) / mpf("8.5"))),
        "h_inf": 1 / (1 + exp((mpf(-70) + 78) / 6)),
        "tau_m": (
            1 / (exp(mpf("-34.18") / mpf("19.69")) + exp(-mpf("9.69") / mpf("12.7"))) + mpf("0.37")
        )
        / phi_a,
        "tau_h": 1 / (exp(mpf("-23.95") / 5) + exp(-mpf("168.4") / mpf("37.45"))) / phi_a,
    },
    "ka at v=-50": {"tau_h": 19 / phi_a},
    "ka_psst2022 at v=-70": {
        "tau_m": 1
        / (exp(mpf("-34.18") / mpf("19.69")) + exp(-mpf("9.69") / mpf("12.7")) + mpf("0.37"))
        / phi_a,
    },
    "ca at v=-30": {
        "m_inf": 1 / (1 + exp(mpf(10) / mpf("6.5"))),
        "h_inf": 1 / (1 + exp(mpf(-5) / 12)),
        "tau_h": mpf("0.3") * exp(mpf(-70) / 13) + mpf("0.002") * exp(mpf(90) / 29),
    },
    "kca at Ca=0.5": {
        "alpha": mpf("2.3") ** mpf("0.3") * mpf("0.005"),
        "beta": mpf("2.3") ** mpf("0.3") * mpf("0.02"),
        "m": mpf("0.5") / mpf("2.5"),
    },
    "gaba_a at v_pre=-18": {"T": 1 / (1 + exp(-mpf(2) / mpf("1.5")))},
    "nach: o after one pulse from 0": {"o": (5 / mpf("5.2")) * (1 - exp(-mpf("1.56")))},
}

if __name__ == "__main__":
    for case, values in numbers.items():
        print(case, {name: mp.nstr(value, 15) for name, value in values.items()})
