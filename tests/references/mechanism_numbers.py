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


def pinsky_rinzel(v, u, h, n, s, c, q, ca):
    """The derivatives as the paper has them: in mV from rest, with 1 uA/cm**2 into the soma."""

    def gate(x, opening, closing):
        return opening * (1 - x) - closing * x

    opening = mpf("0.32") * (mpf("13.1") - v) / (exp((mpf("13.1") - v) / 4) - 1)
    closing = mpf("0.28") * (v - mpf("40.1")) / (exp((v - mpf("40.1")) / 5) - 1)
    sodium = 30 * (opening / (opening + closing)) ** 2 * h * (v - 120)
    calcium = 10 * s**2 * (u - 140)
    potassium = mpf("0.8") * q * (u + 15) + 15 * c * min(ca / 250, 1) * (u + 15)
    falling = 2 * exp((mpf("6.5") - u) / 27)
    rising = exp((u - 10) / 11 - (u - mpf("6.5")) / 27) / mpf("18.975")
    fast = (rising, falling - rising) if u <= 50 else (falling, 0)
    soma = 2 + mpf("4.2") * (u - v) - v / 10 - sodium - 15 * n * (v + 15)
    slow = mpf("0.016") * (mpf("35.1") - v) / (exp((mpf("35.1") - v) / 5) - 1)
    down = mpf("0.02") * (u - mpf("51.1")) / (exp((u - mpf("51.1")) / 5) - 1)
    return {
        "dv/dt": soma / 3,
        "dv_dend/dt": (mpf("4.2") * (v - u) - u / 10 - calcium - potassium) / 3,
        "dh/dt": gate(h, mpf("0.128") * exp((17 - v) / 18), 4 / (1 + exp((40 - v) / 5))),
        "dn/dt": gate(n, slow, mpf("0.25") * exp(mpf("0.5") - v / 40)),
        "ds/dt": gate(s, mpf("1.6") / (1 + exp(-mpf("0.072") * (u - 65))), down),
        "dc/dt": gate(c, *fast),
        "dq/dt": gate(q, min(ca / 50000, mpf("0.01")), mpf("0.001")),
        "dCa/dt": -mpf("0.13") * calcium - mpf("0.075") * ca,
    }


numbers["pinsky_rinzel at v=-40, v_dend=-35, Ca=100, I_soma=1"] = pinsky_rinzel(
    mpf(20), mpf(25), *map(mpf, ("0.6", "0.2", "0.3", "0.25", "0.05", "100"))
)
numbers["pinsky_rinzel at v=0, v_dend=10, Ca=800, I_soma=1"] = pinsky_rinzel(
    mpf(60), mpf(70), *map(mpf, ("0.1", "0.7", "0.6", "0.5", "0.1", "800"))
)

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


V = mpf(-50)


def gate(half, slope):
    """1/(1 + exp((V + half)/slope)) at V = -50."""
    return 1 / (1 + exp((mpf(-50) + half) / slope))


numbers |= {
    "na_prinz2003 at v=-50": {
        "m_inf": gate(mpf("25.5"), mpf("-5.29")),
        "h_inf": gate(mpf("48.9"), mpf("5.18")),
        "tau_m": mpf("2.64") - mpf("2.52") * gate(120, -25),
        "tau_h": mpf("1.34")
        * gate(mpf("62.9"), -10)
        * (mpf("1.5") + gate(mpf("34.9"), mpf("3.6"))),
    },
    "ca_t_prinz2003 at v=-50": {
        "m_inf": gate(mpf("27.1"), mpf("-7.2")),
        "h_inf": gate(mpf("32.1"), mpf("5.5")),
        "tau_m": mpf("43.4") - mpf("42.6") * gate(mpf("68.1"), mpf("-20.5")),
        "tau_h": 210 - mpf("179.6") * gate(55, mpf("-16.9")),
    },
    "ca_s_prinz2003 at v=-50": {
        "m_inf": gate(33, mpf("-8.1")),
        "h_inf": gate(60, mpf("6.2")),
        "tau_m": mpf("2.8") + 14 / (exp((V + 27) / 10) + exp(-(V + 70) / 13)),
        "tau_h": 120 + 300 / (exp((V + 55) / 9) + exp(-(V + 65) / 16)),
    },
    "ka_prinz2003 at v=-50": {
        "m_inf": gate(mpf("27.2"), mpf("-8.7")),
        "h_inf": gate(mpf("56.9"), mpf("4.9")),
        "tau_m": mpf("23.2") - mpf("20.8") * gate(mpf("32.9"), mpf("-15.2")),
        "tau_h": mpf("77.2") - mpf("58.4") * gate(mpf("38.9"), mpf("-26.5")),
    },
    "kca_prinz2003 at v=-50, Ca=2": {
        "m_inf": mpf(2) / 5 * gate(mpf("28.3"), mpf("-12.6")),
        "tau_m": mpf("180.6") - mpf("150.2") * gate(46, mpf("-22.7")),
    },
    "kd_prinz2003 at v=-50": {
        "m_inf": gate(mpf("12.3"), mpf("-11.8")),
        "tau_m": mpf("14.4") - mpf("12.8") * gate(mpf("28.3"), mpf("-19.2")),
    },
    "h_prinz2003 at v=-50": {
        "m_inf": gate(75, mpf("5.5")),
        "tau_m": 2
        / (exp(-(V + mpf("169.7")) / mpf("11.6")) + exp((V - mpf("26.7")) / mpf("14.3"))),
    },
    "ca_prinz2003 at Ca=2, I_ca=-10": {
        "dCa/dt": (mpf("0.05") + mpf("14.96") * mpf("0.628") * 10 - 2) / 200,
        # R and F of CODATA 2018.
        "E_Ca": mpf("8.31446261815324")
        * mpf("284.15")
        / (2 * mpf("96485.33212331"))
        * 1000
        * log(1500),
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
