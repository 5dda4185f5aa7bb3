"""Wrong answers of session 3."""

_LEAKY = (
    "sf.Equations.parse('dv/dt = ({}) : mV\\nI_stim : uA/cm**2', "
    "C=1*uF/cm**2, g=0.5*mS/cm**2, E=-70*mV, v={}*mV)"
)

WRONG: dict[str, list[str]] = {
    "3.1": [
        "-E_chloride",
        "E_chloride/1000",
        "-1000*gas*6.3/faraday*np.log(560/52)",
        "-1000*gas*kelvin/faraday*np.log10(560/52)",
        "E_sodium",
    ],
    "3.2": ["('m', 'h')", "('n', 'm')", "('h', 'n')", "'h'", "'m, h'"],
    "3.3": [
        _LEAKY.format("(I_stim + g*(v - E))/C", -60),
        _LEAKY.format("(-I_stim - g*(v - E))/C", -60),
        _LEAKY.format("(I_stim - g*(v - E))/C", -70),
        _LEAKY.format("(I_stim - 0.6*g*(v - E))/C", -60),
        "membrane",
        _LEAKY.replace("I_stim", "I").format("(I - g*(v - E))/C", -60),
    ],
    "3.4": ["5", "7", "currents[firing > 0].min() + 1", "0", "9.8", "tried[:2]"],
    "3.5": [
        "(90, -60, -60)",
        "(120, fixed_point(120), -60)",
        "(90, -60, fixed_point(90))",
        "(40, -35, -60)",
        "(94.5, fixed_point(94.5), -60)",
        "(93.9, fixed_point(93.9), -60)",
    ],
}
