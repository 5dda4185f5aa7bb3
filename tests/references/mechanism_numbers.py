"""The numbers behind the `[[check]]` entries of the catalogue, by mpmath with 30 digits.

Written from the printed formulas, in SI-free millivolts and milliseconds, and independent of
somaflow: run `python tests/references/mechanism_numbers.py` to print them (needs mpmath).
"""

from mpmath import cosh, exp, log, mp, mpf, tanh

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


def rising(a, b, c):
    """a (V + b)/(1 - exp(-(V + b)/c))."""
    return lambda V: a * (V + b) / (1 - exp(-(V + b) / c))


V = mpf(-45)
u = V + 63  # the shift of Brette et al. (2007)
u_nest = mpf(-60)  # NEST leaves the shift out
traub = {
    "alpha_m": linear(mpf("0.32"), 13, mpf(4)),
    "beta_m": lambda u: mpf("0.28") * (u - 40) / (exp((u - 40) / 5) - 1),
    "alpha_h": lambda u: mpf("0.128") * exp((17 - u) / 18),
    "beta_h": lambda u: 4 / (exp((40 - u) / 5) + 1),
    "alpha_n": linear(mpf("0.032"), 15, mpf(5)),
    "beta_n": lambda u: mpf("0.5") * exp((10 - u) / 40),
}
numbers |= {
    "eif at v=-50, I_stim=1": {
        "dv/dt": mpf("0.1") * (mpf("3.48") * exp(mpf("9.9") / mpf("3.48")) - 15) + 1,
    },
    "adex at v=-48, w=0.1, I_stim=1": {
        "dv/dt": (mpf("0.03") * (2 * exp(mpf("1.2")) - mpf("22.6")) - mpf("0.1") + 1)
        / mpf("0.281"),
        "dw/dt": (mpf("0.004") * mpf("22.6") - mpf("0.1")) / 144,
    },
    "hh_cond_exp at v=-45": {name: rate(u) for name, rate in traub.items()},
    "hh_cond_exp_traub, initial": {
        gate: traub[f"alpha_{gate}"](u_nest)
        / (traub[f"alpha_{gate}"](u_nest) + traub[f"beta_{gate}"](u_nest))
        for gate in "mhn"
    },
    "morris_lecar at v=-20": {
        "m_inf": (1 + tanh(mpf("-18.8") / 18)) / 2,
        "n_inf": (1 + tanh(mpf(-22) / 30)) / 2,
        "tau_n": 25 / cosh(mpf(-22) / 60),
    },
}

V = mpf(-50)
wang = {
    "alpha_m": rising(mpf("0.1"), 35, 10)(V),
    "beta_m": 4 * exp(-(V + 60) / 18),
    "alpha_h": mpf("0.07") * exp(-(V + 58) / 20),
    "beta_h": 1 / (exp(-(V + 28) / 10) + 1),
    "alpha_n": rising(mpf("0.01"), 34, 10)(V),
    "beta_n": mpf("0.125") * exp(-(V + 44) / 80),
}
numbers["wang_buzsaki at v=-50, h=0.6, n=0.2"] = wang | {
    "m_inf": wang["alpha_m"] / (wang["alpha_m"] + wang["beta_m"]),
    "dh/dt": 5 * (wang["alpha_h"] * mpf("0.4") - wang["beta_h"] * mpf("0.6")),
    "dn/dt": 5 * (wang["alpha_n"] * mpf("0.8") - wang["beta_n"] * mpf("0.2")),
}
numbers["connor_stevens at v=-50"] = {
    "alpha_m": rising(mpf("0.38"), mpf("29.7"), 10)(V),
    "beta_m": mpf("15.2") * exp(-mpf("0.0556") * (V + mpf("54.7"))),
    "alpha_h": mpf("0.266") * exp(-mpf("0.05") * (V + 48)),
    "beta_h": mpf("3.8") / (1 + exp(-mpf("0.1") * (V + 18))),
    "alpha_n": rising(mpf("0.02"), mpf("45.7"), 10)(V),
    "beta_n": mpf("0.25") * exp(-mpf("0.0125") * (V + mpf("55.7"))),
    "a_inf": (
        mpf("0.0761")
        * exp(mpf("0.0314") * (V + mpf("94.22")))
        / (1 + exp(mpf("0.0346") * (V + mpf("1.17"))))
    )
    ** (mpf(1) / 3),
    "tau_a": mpf("0.3632") + mpf("1.158") / (1 + exp(mpf("0.0497") * (V + mpf("55.96")))),
    "b_inf": (1 / (1 + exp(mpf("0.0688") * (V + mpf("53.3"))))) ** 4,
    "tau_b": mpf("1.24") + mpf("2.678") / (1 + exp(mpf("0.0624") * (V + 50))),
}

rise, decay = mpf("0.1"), mpf(10)
peak = rise * decay / (decay - rise) * log(decay / rise)
open_60, open_40 = (1 / (1 + exp(-mpf("0.062") * v) / mpf("3.57")) for v in (-60, 40))
numbers |= {
    "double_exponential": {
        "t_peak": peak,
        # Of dG/dt = (H - G)/decay, dH/dt = -H/rise: the jump of H for which G has the peak 1.
        "factor": (decay - rise) / rise / (exp(-peak / decay) - exp(-peak / rise)),
    },
    "nmda": {
        "B at -60": open_60,
        "B at 40": open_40,
        "I": mpf("0.0006") / 2 * open_60 * -60,
        "I per area": mpf("0.003") / 2 * open_60 * -60,
    },
    "nmda_saturating": {
        "I": mpf("0.000165") / 2 * open_40 * 40,
        "I per area": mpf("0.000825") / 2 * open_40 * 40,
    },
    "slow_gaba at v_pre=7": {"T": 1 / (1 + exp(mpf(-1)))},
    "graded_conductance at v_pre=-38": {"s_inf": 1 / (1 + exp(-mpf(2) / 5))},
    "graded_prinz2004 at v_pre=-20": {
        "s_inf": 1 / (1 + exp(mpf(-3))),
        "tau_s": 40 * (1 - 1 / (1 + exp(mpf(-3)))),
    },
}


def left(time, tau):
    """What the traces of spikes every 50 ms are some time after the last of many."""
    return exp(-mpf(time) / tau) / (1 - exp(-mpf(50) / tau))


r_1, o_2 = left(10, mpf("16.8")), left(50, 125)
o_1, r_2 = left(40, mpf("33.7")), left(50, 101)
numbers["stdp_triplet_all_to_all, pairs at 20 Hz, 10 ms apart"] = {
    "r_1": r_1,
    "o_2": o_2,
    "w after post spike": (1 + r_1 * (mpf("5e-10") + mpf("6.2e-3") * o_2)) / 1000,
    "o_1": o_1,
    "r_2": r_2,
    "w after spike": (1 - o_1 * (mpf("7e-3") + mpf("2.3e-4") * r_2)) / 1000,
}

if __name__ == "__main__":
    for case, values in numbers.items():
        print(case, {name: mp.nstr(value, 15) for name, value in values.items()})
