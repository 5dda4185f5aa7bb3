"""The locust antennal lobe as the published TensorFlow tutorial does it.

This peer stands for the starting point: the style of the tutorial of Mohanta and Assisi, in which
a network is one long state vector advanced by ``tf.scan`` over a Runge-Kutta step of TensorFlow
operations. It is written for TensorFlow 2 (``tf.function`` in place of a session; no XLA) and
keeps the tutorial's ways on purpose:

- one gating state per synapse, though all synapses of a presynaptic cell share one time course;
- at every evaluation the gates are scattered into dense n x n matrices, and the transmitter is
  taken out of such matrices, both with boolean masks;
- the last spike time of every cell is part of the state, stamped with the start of the step;
- the stimulus of all time steps is a graph constant, looked up by ``int(t / dt)``;
- ``tf.scan`` keeps the whole trajectory of all states.

Parameters and equations are those of the problem file's other peers, not the tutorial's.

Prints one JSON object: microseconds per step over ``--steps`` steps from the start (the median of
the repetitions, after a warm-up that also traces the graph), and spike counts of those steps.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf

Problem = dict[str, Any]
WARM_UP_STEPS = 200
THRESHOLD_PN, THRESHOLD_LN = 0.0, -20.0


def stimulus(problem: Problem, t: np.ndarray) -> np.ndarray:
    """Return the injected current of all cells, [time, cell]."""
    on, off, rise, decay = (problem[key] for key in ("on", "off", "rise", "decay"))
    shape = np.where(t <= on, 0.0, 1 - np.exp(-(np.minimum(t, off) - on) / rise))
    shape = shape * np.where(t > off, np.exp(-(np.maximum(t, off) - off) / decay), 1.0)
    return shape[:, None] * np.array(problem["I_pn"] + problem["I_ln"])


class Lobe:
    """The network's derivative and initial state; PNs come before LNs in every vector."""

    def __init__(self, problem: Problem, dtype: str, steps: int) -> None:
        self.dtype = tf.as_dtype(dtype)
        self.dt: float = problem["dt_ms"]
        self.p_n = p_n = len(problem["v0_pn"])
        self.l_n = l_n = len(problem["v0_ln"])
        self.n_n = n_n = p_n + l_n
        times = np.arange(steps + 2) * self.dt
        self.current_input = stimulus(problem, times).astype(dtype)

        def cells(pn: float, ln: float) -> np.ndarray:
            return np.array([pn] * p_n + [ln] * l_n, dtype)

        self.g_KL = cells(0.05, 0.02)
        self.E_L = cells(-55.0, -50.0)
        self.F_b = cells(THRESHOLD_PN, THRESHOLD_LN)

        # Matrices of all cells, [post][pre].
        self.ach_mat = np.zeros((n_n, n_n), dtype)
        self.ach_mat[p_n:, :p_n] = problem["pn_ln"]
        self.fgaba_mat = np.zeros((n_n, n_n), dtype)
        self.fgaba_mat[:p_n, p_n:] = problem["ln_pn"]
        self.fgaba_mat[p_n:, p_n:] = problem["ln_ln"]
        self.n_ach = int(self.ach_mat.sum())
        self.n_fgaba = int(self.fgaba_mat.sum())
        weights = problem["weights"]
        self.g_ach = cells(0.0, weights["ach_ln"])
        self.g_fgaba = cells(weights["gaba_pn"], weights["gaba_ln"])

        v0 = problem["v0_pn"] + problem["v0_ln"]
        gates = [0.0] * (n_n + 4 * p_n + 3 * l_n)
        synapses = [0.0] * (self.n_ach + self.n_fgaba)
        fire_t = [-(problem["duration_ms"] + 1)] * n_n
        state = v0 + gates + [2.4e-4] * l_n + synapses + fire_t
        self.initial_state = tf.constant(state, self.dtype)

    # ---- gates: steady state and time constant

    @staticmethod
    def k_prop(V: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        phi = 3.0 ** ((22 - 36) / 10)
        V_ = V + 50
        alpha_n = 0.02 * (15.0 - V_) / (tf.exp((15.0 - V_) / 5.0) - 1.0)
        beta_n = 0.5 * tf.exp((10.0 - V_) / 40.0)
        return alpha_n / (alpha_n + beta_n), 1.0 / ((alpha_n + beta_n) * phi)

    @staticmethod
    def na_prop(V: tf.Tensor) -> tuple[tf.Tensor, ...]:
        phi = 3.0 ** ((22 - 36) / 10)
        V_ = V + 50
        alpha_m = 0.32 * (13.0 - V_) / (tf.exp((13.0 - V_) / 4.0) - 1.0)
        beta_m = 0.28 * (V_ - 40.0) / (tf.exp((V_ - 40.0) / 5.0) - 1.0)
        alpha_h = 0.128 * tf.exp((17.0 - V_) / 18.0)
        beta_h = 4.0 / (tf.exp((40.0 - V_) / 5.0) + 1.0)
        t_m = 1.0 / ((alpha_m + beta_m) * phi)
        t_h = 1.0 / ((alpha_h + beta_h) * phi)
        return alpha_m / (alpha_m + beta_m), t_m, alpha_h / (alpha_h + beta_h), t_h

    @staticmethod
    def a_prop(V: tf.Tensor) -> tuple[tf.Tensor, ...]:
        phi = 3.0 ** ((36 - 23.5) / 10)
        m_0 = 1 / (1 + tf.exp(-(V + 60.0) / 8.5))
        h_0 = 1 / (1 + tf.exp((V + 78.0) / 6.0))
        tau_m = (1 / (tf.exp((V + 35.82) / 19.69) + tf.exp(-(V + 79.69) / 12.7)) + 0.37) / phi
        t1 = 1 / (tf.exp((V + 46.05) / 5.0) + tf.exp(-(V + 238.4) / 37.45)) / phi
        t2 = (19.0 / phi) * tf.ones(tf.shape(V), dtype=V.dtype)
        return m_0, tau_m, h_0, tf.where(tf.less(V, -63.0), t1, t2)

    @staticmethod
    def ca_prop(V: tf.Tensor) -> tuple[tf.Tensor, ...]:
        m_0 = 1 / (1 + tf.exp(-(V + 20.0) / 6.5))
        h_0 = 1 / (1 + tf.exp((V + 25.0) / 12))
        tau_h = 0.3 * tf.exp((V - 40.0) / 13.0) + 0.002 * tf.exp((60.0 - V) / 29)
        return m_0, 1.5, h_0, tau_h

    @staticmethod
    def kca_prop(Ca: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        phi = 2.3 ** ((26 - 23.0) / 10)
        alpha = 0.01 * Ca
        beta = 0.02
        return alpha / (alpha + beta), 1 / ((alpha + beta) * phi)

    # ---- synapses

    def synaptic_current(
        self, o: tf.Tensor, V: tf.Tensor, mat: np.ndarray, g: np.ndarray, E: float
    ) -> tf.Tensor:
        """Return the current of all cells, from one open fraction per synapse."""
        n = self.n_n
        o_ = tf.constant([0.0] * n**2, dtype=self.dtype)
        ind = tf.boolean_mask(tf.range(n**2), mat.reshape(-1) == 1)
        o_ = tf.tensor_scatter_nd_update(o_, tf.reshape(ind, [-1, 1]), o)
        o_ = tf.transpose(tf.reshape(o_, (n, n)))
        return tf.reduce_sum(tf.transpose((o_ * (V - E)) * g), 1)

    def per_synapse(self, transmitter: tf.Tensor, mat: np.ndarray) -> tf.Tensor:
        """Return the presynaptic transmitter of every synapse that exists."""
        spread = tf.multiply(tf.constant(mat, dtype=self.dtype), transmitter)
        return tf.boolean_mask(tf.reshape(spread, (-1,)), mat.reshape(-1) == 1)

    # ---- the derivative of the whole state

    def derivative(self, X: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
        n_n, p_n, l_n = self.n_n, self.p_n, self.l_n
        sizes = [n_n, n_n, p_n, p_n, p_n, p_n, l_n, l_n, l_n, l_n, self.n_ach, self.n_fgaba, n_n]
        ends = np.cumsum(sizes)
        V, n_K, m_Na, h_Na, m_A, h_A, m_Ca, h_Ca, m_KCa, Ca, o_ach, o_fgaba, fire_t = (
            X[end - size : end] for size, end in zip(sizes, ends, strict=True)
        )
        V_p, V_l = V[:p_n], V[p_n:]

        n0, tn = self.k_prop(V)
        dn_K = -(1.0 / tn) * (n_K - n0)
        m0, tm, h0, th = self.na_prop(V_p)
        dm_Na = -(1.0 / tm) * (m_Na - m0)
        dh_Na = -(1.0 / th) * (h_Na - h0)
        m0, tm, h0, th = self.a_prop(V_p)
        dm_A = -(1.0 / tm) * (m_A - m0)
        dh_A = -(1.0 / th) * (h_A - h0)
        m0, tm, h0, th = self.ca_prop(V_l)
        dm_Ca = -(1.0 / tm) * (m_Ca - m0)
        dh_Ca = -(1.0 / th) * (h_Ca - h0)
        m0, tm = self.kca_prop(Ca)
        dm_KCa = -(1.0 / tm) * (m_KCa - m0)
        I_Ca = 3.0 * m_Ca**2 * h_Ca * (V_l - 140.0)
        dCa = -2e-4 * I_Ca - (Ca - 2.4e-4) / 150

        dV_p = -100.0 * m_Na**3 * h_Na * (V_p - 50.0) - 10.0 * m_A**4 * h_A * (V_p + 95.0)
        dV_l = -I_Ca - 0.3 * m_KCa * (V_l + 90.0)
        index = tf.cast(t / self.dt, tf.int32)
        dV = (
            tf.constant(self.current_input)[index]
            + tf.concat([dV_p, dV_l], 0)
            - 10.0 * n_K**4 * (V + 95.0)
            - 0.15 * (V - self.E_L)
            - self.g_KL * (V + 95.0)
            - self.synaptic_current(o_ach, V, self.ach_mat, self.g_ach, 0.0)
            - self.synaptic_current(o_fgaba, V, self.fgaba_mat, self.g_fgaba, -70.0)
        )

        now = tf.cast(t, self.dtype)
        A_ = tf.constant([0.5] * n_n, dtype=self.dtype)
        Z_ = tf.zeros(tf.shape(A_), dtype=self.dtype)
        in_pulse = tf.logical_and(tf.greater(now, fire_t), tf.less(now, fire_t + 0.3))
        T_ach = self.per_synapse(tf.where(in_pulse, A_, Z_), self.ach_mat)
        do_ach = 10.0 * (1.0 - o_ach) * T_ach - 0.2 * o_ach
        T_fgaba = self.per_synapse(1.0 / (1.0 + tf.exp(-(V + 20.0) / 1.5)), self.fgaba_mat)
        do_fgaba = 10.0 * (1.0 - o_fgaba) * T_fgaba - 0.16 * o_fgaba

        dfdt = tf.zeros(tf.shape(fire_t), dtype=self.dtype)
        parts = [dV, dn_K, dm_Na, dh_Na, dm_A, dh_A, dm_Ca, dh_Ca, dm_KCa, dCa]
        return tf.concat([*parts, do_ach, do_fgaba, dfdt], 0)


def integrator(lobe: Lobe) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """``integrate(y0, t)``: all states at the times ``t[1:]``, by RK4 with spike times kept."""
    n = lobe.n_n

    def step(func: Callable, t: tf.Tensor, dt: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        dt_cast = tf.cast(dt, y.dtype)
        k1 = func(y, t)
        k2 = func(y + dt_cast * k1 / 2, t + dt / 2)
        k3 = func(y + dt_cast * k2 / 2, t + dt / 2)
        k4 = func(y + dt_cast * k3, t + dt)
        return tf.add_n([k1, 2 * k2, 2 * k3, k4]) * (dt_cast / 6)

    def scan_func(y: tf.Tensor, t_dt: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        t, dt = t_dt
        out = y + step(lobe.derivative, t, dt, y)
        fire_t = y[-n:]
        below = tf.less(y[:n], lobe.F_b)
        above = tf.greater_equal(out[:n], lobe.F_b)
        since = tf.cast(t, y.dtype) - fire_t
        fired = tf.where(tf.logical_and(below, above), since, tf.zeros_like(fire_t))
        return tf.concat([out[:-n], fire_t + fired], 0)

    signature = [
        tf.TensorSpec(lobe.initial_state.shape, lobe.dtype),
        tf.TensorSpec([None], tf.float64),
    ]

    @tf.function(input_signature=signature, autograph=False)
    def integrate(y0: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
        return tf.scan(scan_func, (t[:-1], t[1:] - t[:-1]), y0)

    return integrate


def crossings(v: np.ndarray, threshold: float, dt: float) -> list[list[float]]:
    """Interpolated times of upward crossings, cell by cell, of ``v`` [time, cell]."""
    out = []
    for trace in v.T.astype(float):
        (at,) = np.nonzero((trace[:-1] < threshold) & (trace[1:] >= threshold))
        part = (threshold - trace[at]) / (trace[at + 1] - trace[at])
        out.append(((at + part) * dt).tolist())
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("problem", type=Path)
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float64")
    parser.add_argument("--steps", type=int, default=2000, help="0: the whole problem")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="0: TensorFlow's choice")
    parser.add_argument("--trace", type=Path, help="write spikes and voltages here")
    args = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    tf.config.threading.set_inter_op_parallelism_threads(args.threads)

    problem = json.loads(args.problem.read_text())
    dt = problem["dt_ms"]
    steps = args.steps or round(problem["duration_ms"] / dt)
    lobe = Lobe(problem, args.dtype, max(steps, WARM_UP_STEPS))
    integrate = integrator(lobe)
    integrate(lobe.initial_state, tf.constant(np.arange(WARM_UP_STEPS + 1) * dt))

    t = tf.constant(np.arange(steps + 1) * dt)
    us = []
    for _ in range(args.repeats):
        start = time.process_time()
        states = integrate(lobe.initial_state, t).numpy()
        us.append((time.process_time() - start) / steps * 1e6)

    v = np.concatenate([lobe.initial_state[None, : lobe.n_n], states[:, : lobe.n_n]])
    pn_spikes = crossings(v[:, : lobe.p_n], THRESHOLD_PN, dt)
    ln_spikes = crossings(v[:, lobe.p_n :], THRESHOLD_LN, dt)
    if args.trace:
        per_ms, per_mean = round(1 / dt), round(0.1 / dt)
        v_pn = v[::per_ms, : lobe.p_n].astype(float)
        trace = {
            "pn_spikes_ms": pn_spikes,
            "ln_spikes_ms": ln_spikes,
            "t_ms": list(range(len(v_pn))),
            "v_pn_mV": v_pn.tolist(),
            "mean_v_pn_mV": v[::per_mean, : lobe.p_n].mean(1).astype(float).tolist(),
        }
        args.trace.write_text(json.dumps(trace))
    result = {
        "peer": "scan",
        "version": tf.__version__,
        "dtype": args.dtype,
        "us_per_step": float(np.median(us)),
        "us_per_step_min": min(us),
        "repeats": args.repeats,
        "steps": steps,
        "threads": args.threads,
        "states": int(lobe.initial_state.shape[0]),
        "pn_spikes": sum(map(len, pn_spikes)),
        "ln_spikes": sum(map(len, ln_spikes)),
        "finite": bool(np.isfinite(v).all()),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
