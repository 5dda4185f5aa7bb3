"""100,000 integrate-and-fire cells with 1,000 conductance synapses each.

80 of 100 cells excite. The cells rest above threshold, as in CUBA, and the weights are those of
COBA scaled by 80/1,000, so that the network is active by itself.
"""

CELLS = 100_000
IN_DEGREE = 1_000
EXCITING = 0.8
DT = 0.1  # ms
# Mean weights in uS. Each synapse has its own: log-normal, with a quarter of the mean as deviation.
W_E, W_I = 0.006 * 80 / IN_DEGREE, 0.067 * 80 / IN_DEGREE
SPREAD = 0.25
# Of the logarithms of in- and out-degrees, where these are log-normal.
SIGMA = 0.5
E_L, V_THRESHOLD, V_RESET, TAU, REFRACTORY = -49.0, -50.0, -60.0, 20.0, 5.0  # mV, ms
E_E, E_I, TAU_E, TAU_I = 0.0, -80.0, 5.0, 10.0
