// What lobe.cpp and lobe_tuned.cpp share of the model: everything but the integration of the cells.
//
// mV, ms, mS/cm2, uA/cm2, mM, capacitance 1 uF/cm2.
// Spike: upward crossing of 0 mV (PN) or -20 mV (LN), interpolated linearly inside the step.
// nACh gate: one per PN, T = 0.5 for 0.3 ms from each of its spikes, advanced analytically through
// both edges of the pulse; a new pulse acts on voltages from the next step on. Between pulses all
// gates decay alike, and with them the summed conductances; only columns of PNs in a pulse need
// work. This is exact.
// GABA_A gate: one per LN, graded in the LN's voltage, part of the state a program integrates.

#pragma once

#include "problem.hpp"

#define INLINE inline __attribute__((always_inline))

constexpr double phi_hh = 0.2147980049924181;   // 3^((22-36)/10)
constexpr double phi_a = 3.9482220388574776;     // 3^((36-23.5)/10)
constexpr double phi_kca = 1.2838620180052700;   // 2.3^((26-23)/10)
constexpr double ach_rise = 5.0, ach_decay = 0.2, ach_pulse = 0.3;  // alpha T, beta, ms
constexpr double gaba_alpha = 10.0, gaba_beta = 0.16;
constexpr double calcium_rest = 2.4e-4;
constexpr double threshold_pn = 0.0, threshold_ln = -20.0;

// One PN or LN, and the states of N cells, each variable in a row of its own.
template <class T>
struct PnState {
    T V, n, m, h, a, b;  // a, b: activation and inactivation of I_A
};

template <class T>
struct LnState {
    T V, n, m, h, k, ca, o;  // m, h: I_Ca; k: I_K(Ca); ca: calcium; o: GABA_A gate of its synapses
};

template <class T, int N>
struct PnRows {
    alignas(64) T V[N], n[N], m[N], h[N], a[N], b[N];
    INLINE PnState<T> get(int i) const { return {V[i], n[i], m[i], h[i], a[i], b[i]}; }
    INLINE void put(int i, const PnState<T>& y) {
        V[i] = y.V, n[i] = y.n, m[i] = y.m, h[i] = y.h, a[i] = y.a, b[i] = y.b;
    }
};

template <class T, int N>
struct LnRows {
    alignas(64) T V[N], n[N], m[N], h[N], k[N], ca[N], o[N];
    INLINE LnState<T> get(int i) const { return {V[i], n[i], m[i], h[i], k[i], ca[i], o[i]}; }
    INLINE void put(int i, const LnState<T>& y) {
        V[i] = y.V, n[i] = y.n, m[i] = y.m, h[i] = y.h, k[i] = y.k, ca[i] = y.ca, o[i] = y.o;
    }
};

// y + h k
template <class T>
INLINE PnState<T> advance(const PnState<T>& y, T h, const PnState<T>& k) {
    return {y.V + h * k.V, y.n + h * k.n, y.m + h * k.m,
            y.h + h * k.h, y.a + h * k.a, y.b + h * k.b};
}

template <class T>
INLINE LnState<T> advance(const LnState<T>& y, T h, const LnState<T>& k) {
    return {y.V + h * k.V, y.n + h * k.n,   y.m + h * k.m, y.h + h * k.h,
            y.k + h * k.k, y.ca + h * k.ca, y.o + h * k.o};
}

// NP, NL: numbers of PNs and LNs, padded to whole vectors. A padding cell has no drive and no
// synapses, and is not recorded.
template <class T, int NP, int NL>
class LobeBase {
  public:
    static constexpr int lanes = 64 / sizeof(T);
    static_assert(NP % lanes == 0 && NL % lanes == 0);

    explicit LobeBase(const Problem& p)
        : p_(p), n_pn_(int(p.v0_pn.size())), n_ln_(int(p.v0_ln.size())) {
        for (int i = 0; i < n_pn_; ++i) i_pn_[i] = T(p.i_pn[i]);
        for (int i = 0; i < n_ln_; ++i) i_ln_[i] = T(p.i_ln[i]);
        for (int i = 0; i < n_ln_; ++i)
            for (int j = 0; j < n_pn_; ++j) w_ach_[j][i] = p.ach_ln * p.pn_ln[i][j];
        for (int i = 0; i < n_pn_; ++i)
            for (int j = 0; j < n_ln_; ++j) w_gaba_pn_[j][i] = T(p.gaba_pn * p.ln_pn[i][j]);
        for (int i = 0; i < n_ln_; ++i)
            for (int j = 0; j < n_ln_; ++j) w_gaba_ln_[j][i] = T(p.gaba_ln * p.ln_ln[i][j]);
    }
    virtual ~LobeBase() = default;

    std::int64_t steps() const { return std::llround(p_.duration / p_.dt); }

    Recording run() {
        reset();
        Recording out;
        const std::int64_t n = steps();
        const std::int64_t per_ms = std::llround(1 / p_.dt), per_mean = std::llround(0.1 / p_.dt);
        out.reserve(std::size_t(n / per_ms + 1), n_pn_);
        for (std::int64_t step = 0; step < n; ++step) {
            if (step % per_mean == 0) sample_mean(out);
            if (step % per_ms == 0) sample_v(out);
            this->step(step, out);
        }
        if (n % per_mean == 0) sample_mean(out);
        if (n % per_ms == 0) sample_v(out);
        return out;
    }

  protected:
    typedef T Vector __attribute__((vector_size(64)));

    // Take pn_ and ln_ one step further. drive, and g_ach_, are those of the four stages.
    virtual void integrate(const T drive[4]) = 0;

    static INLINE const Vector& row(const T* w, int block) { return *((const Vector*)w + block); }

    // g = w o: conductances of N cells from the GABA_A gates of all LNs.
    template <int N>
    static INLINE void inhibit(const T (&w)[NL][N], const T* __restrict o, T* __restrict g) {
        constexpr int blocks = N / lanes;
        Vector acc[2 * blocks] = {};  // two sums per block: shorter chains
        for (int j = 0; j + 1 < NL; j += 2)
            for (int b = 0; b < blocks; ++b) {
                acc[b] += row(w[j], b) * o[j];
                acc[blocks + b] += row(w[j + 1], b) * o[j + 1];
            }
        for (int b = 0; b < blocks; ++b) *((Vector*)g + b) = acc[b] + acc[blocks + b];
    }

    const Problem& p_;
    const int n_pn_, n_ln_;
    alignas(64) T i_pn_[NP] = {}, i_ln_[NL] = {};
    alignas(64) T w_gaba_pn_[NL][NP] = {}, w_gaba_ln_[NL][NL] = {};  // [pre][post]
    PnRows<T, NP> pn_;
    LnRows<T, NL> ln_;
    alignas(64) T g_ach_[4][NL];  // nACh conductance of the LNs at each stage

  private:
    struct Gate {  // nACh gate of one PN; times in ms since the start
        double open = 0, at = 0, pulse_end = -1;
    };

    void reset() {
        std::memset(&pn_, 0, sizeof pn_);
        std::memset(&ln_, 0, sizeof ln_);
        std::fill_n(pn_.V, NP, T(-65));
        std::fill_n(ln_.V, NL, T(-65));
        for (int i = 0; i < n_pn_; ++i) pn_.V[i] = T(p_.v0_pn[i]);
        for (int i = 0; i < n_ln_; ++i) ln_.V[i] = T(p_.v0_ln[i]);
        std::fill_n(ln_.ca, NL, T(calcium_rest));
        std::fill_n(g_ach_next_, NL, 0.0);
        gates_.assign(n_pn_, Gate());
        in_pulse_.clear();
        drive_next_ = p_.drive(0);
    }

    void step(std::int64_t step, Recording& out) {
        const double t0 = step * p_.dt, t1 = (step + 1) * p_.dt;
        const double drive_now = drive_next_, drive_half = p_.drive(t0 + p_.dt / 2);
        drive_next_ = p_.drive(t1);
        const T drive[4] = {T(drive_now), T(drive_half), T(drive_half), T(drive_next_)};
        advance_ach(t0);
        std::memcpy(v_pn_before_, pn_.V, sizeof pn_.V);
        std::memcpy(v_ln_before_, ln_.V, sizeof ln_.V);
        integrate(drive);
        if (crossings(v_ln_before_, ln_.V, T(threshold_ln)) > 0) collect_ln(t0, out);
        if (crossings(v_pn_before_, pn_.V, T(threshold_pn)) > 0) collect_pn(t0, t1, out);
    }

    // ---- nACh: conductances of the LNs at the start, middle and end of the step

    // The gate a time h later, h in ms, inside a pulse or outside one.
    static double opening(double o, double h) {
        constexpr double rate = ach_rise + ach_decay, target = ach_rise / rate;
        return target + (o - target) * std::exp(-rate * h);
    }
    static double closing(double o, double h) { return o * std::exp(-ach_decay * h); }

    static double gate_at(const Gate& gate, double t) {
        if (t <= gate.pulse_end) return opening(gate.open, t - gate.at);
        if (gate.at >= gate.pulse_end) return closing(gate.open, t - gate.at);
        return closing(opening(gate.open, gate.pulse_end - gate.at), t - gate.pulse_end);
    }

    void advance_ach(double t0) {
        const double half = std::exp(-ach_decay * p_.dt / 2);
        alignas(64) double g_half[NL];
        for (int i = 0; i < NL; ++i) {
            g_ach_[0][i] = T(g_ach_next_[i]);
            g_half[i] = g_ach_next_[i] * half;
            g_ach_next_[i] *= half * half;
        }
        // A gate in its pulse departs from mere decay: add what its column has more.
        for (std::size_t k = 0; k < in_pulse_.size();) {
            const int j = in_pulse_[k];
            Gate& gate = gates_[j];
            const double now = gate_at(gate, t0);
            const double next = gate_at(gate, t0 + p_.dt);
            const double more_half = gate_at(gate, t0 + p_.dt / 2) - now * half;
            const double more = next - now * half * half;
            for (int i = 0; i < NL; ++i) {
                g_half[i] += w_ach_[j][i] * more_half;
                g_ach_next_[i] += w_ach_[j][i] * more;
            }
            if (gate.pulse_end <= t0 + p_.dt) {
                gate.open = next;
                gate.at = t0 + p_.dt;
                in_pulse_[k] = in_pulse_.back();
                in_pulse_.pop_back();
            } else {
                ++k;
            }
        }
        for (int i = 0; i < NL; ++i) {
            g_ach_[1][i] = g_ach_[2][i] = T(g_half[i]);
            g_ach_[3][i] = T(g_ach_next_[i]);
        }
    }

    // A PN fired at t, before t1: open its gate up to t1, for the next step on.
    void start_pulse(int j, double t, double t1) {
        Gate& gate = gates_[j];
        const double without = gate_at(gate, t1);
        gate.open = gate_at(gate, t);
        gate.at = t;
        gate.pulse_end = t + ach_pulse;
        const double more = gate_at(gate, t1) - without;
        for (int i = 0; i < NL; ++i) g_ach_next_[i] += w_ach_[j][i] * more;
        if (std::find(in_pulse_.begin(), in_pulse_.end(), j) == in_pulse_.end())
            in_pulse_.push_back(j);
    }

    // ---- spikes and samples

    // The number of cells whose voltage crossed the threshold upwards.
    template <int N>
    static T crossings(const T (&before)[N], const T (&after)[N], T threshold) {
        T count = 0;
        for (int i = 0; i < N; ++i)
            count += before[i] < threshold && after[i] >= threshold ? T(1) : T(0);
        return count;
    }

    void collect_ln(double t0, Recording& out) {
        for (int i = 0; i < n_ln_; ++i) {
            const double a = v_ln_before_[i] - threshold_ln, b = ln_.V[i] - threshold_ln;
            if (a < 0 && b >= 0) out.ln.push_back({t0 + p_.dt * -a / (b - a), i});
        }
    }

    void collect_pn(double t0, double t1, Recording& out) {
        for (int i = 0; i < n_pn_; ++i) {
            const double a = v_pn_before_[i] - threshold_pn, b = pn_.V[i] - threshold_pn;
            if (a < 0 && b >= 0) {
                const double t = t0 + p_.dt * -a / (b - a);
                out.pn.push_back({t, i});
                start_pulse(i, t, t1);
            }
        }
    }

    void sample_v(Recording& out) const {
        for (int i = 0; i < n_pn_; ++i) out.v.push_back(float(pn_.V[i]));
    }

    void sample_mean(Recording& out) const {
        T sum = 0;
        for (int i = 0; i < n_pn_; ++i) sum += pn_.V[i];
        out.mean.push_back(float(sum / T(n_pn_)));
    }

    alignas(64) double w_ach_[NP][NL] = {};  // [pre][post]
    alignas(64) T v_pn_before_[NP], v_ln_before_[NL];
    alignas(64) double g_ach_next_[NL];  // at the end of the step
    std::vector<Gate> gates_;
    std::vector<int> in_pulse_;
    double drive_next_ = 0;
};
