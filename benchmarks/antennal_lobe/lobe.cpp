// The locust antennal lobe (90 PN, 30 LN) as a hand-written single-threaded loop.
//
// The reference a compiled simulator is compared with: what a careful programmer gets from one core
// while doing the work that the equations state, for exactly this network, method (RK4, fixed step)
// and set of recordings. Compare lobe_tuned.cpp, which does less arithmetic.
//
//   g++ -std=c++17 -O3 -march=native -ffast-math -o DIR/lobe lobe.cpp
//   DIR/lobe problem.json [--dtype float64|float32] [--repeats R] [--trace FILE]
//
// prints one JSON object (us_per_step is the median of R full runs from the start), and writes
// spike times and voltages of the last run to FILE. problem.py makes and describes the problem
// file and checks the trace against an event-accurate reference. Spikes and nACh gates, advanced
// analytically, are described in lobe_base.hpp.
//
// What is as written:
// - each rate function has the exponentials and divisions of its formula, 12 exp per PN and stage
//   and 7 per LN; no exp is derived from another;
// - PNs and LNs take each of the four stages together, and at each the inhibition of all cells is
//   the product of a dense matrix and the GABA_A gates of that stage.
// What a careful programmer does all the same:
// - sizes are template parameters, cells are padded to whole vectors, each variable is a row of its
//   own, and every loop over cells vectorises, calls to exp included (libmvec: _ZGVeN8v_exp,
//   _ZGVeN16v_expf and their kin);
// - a stage's slopes go into the sum and the next stage's point while they are in registers;
// - the drive, one time course for all cells, is evaluated once per distinct time.
// Rates have no guard at their removable singularities (V = -35, -37 and -10 mV). Hitting one to
// the last bit gives 0/0, and the program then fails: "a voltage is not a number". In float32 that
// happens: of the 1000 ms lobes of seeds 1 to 6, to seed 2. With -DGUARD the rates are guarded.

#include "lobe_base.hpp"

// ---------------------------------------------------------------- equations

// x as it is, or with -DGUARD kept from 0.
template <class T>
INLINE T nonzero(T x) {
#ifdef GUARD
    constexpr T near = sizeof(T) == 4 ? T(1e-3) : T(1e-6);
    return std::abs(x) < near ? near : x;
#else
    return x;
#endif
}

// Delayed rectifier n, both cell types.
template <class T>
INLINE T rhs_n(T v, T n) {
    const T x = nonzero(T(15) - v);
    const T alpha = T(0.02) * x / (std::exp(x / T(5)) - T(1));
    const T beta = T(0.5) * std::exp((T(10) - v) / T(40));
    return T(phi_hh) * (alpha * (T(1) - n) - beta * n);
}

// g_gaba: conductance summed over presynaptic LNs; I: injected current.
template <class T>
INLINE PnState<T> rhs(const PnState<T>& y, T g_gaba, T I) {
    const T V = y.V, v = V + T(50);

    const T x = nonzero(T(13) - v), z = nonzero(v - T(40));
    const T alpha_m = T(0.32) * x / (std::exp(x / T(4)) - T(1));
    const T beta_m = T(0.28) * z / (std::exp(z / T(5)) - T(1));
    const T alpha_h = T(0.128) * std::exp((T(17) - v) / T(18));
    const T beta_h = T(4) / (std::exp((T(40) - v) / T(5)) + T(1));

    const T a_inf = T(1) / (T(1) + std::exp(-(V + T(60)) / T(8.5)));
    const T b_inf = T(1) / (T(1) + std::exp((V + T(78)) / T(6)));
    const T tau_a = (T(1) / (std::exp((V + T(35.82)) / T(19.69)) +
                             std::exp(-(V + T(79.69)) / T(12.7))) + T(0.37)) / T(phi_a);
    const T tau_cold = T(1) / (std::exp((V + T(46.05)) / T(5)) +
                               std::exp(-(V + T(238.4)) / T(37.45))) / T(phi_a);
    const T tau_b = V < T(-63) ? tau_cold : T(19 / phi_a);

    PnState<T> d;
    d.V = I - T(0.15) * (V + T(55)) - T(0.05) * (V + T(95)) -
          T(100) * y.m * y.m * y.m * y.h * (V - T(50)) -
          T(10) * y.n * y.n * y.n * y.n * (V + T(95)) -
          T(10) * y.a * y.a * y.a * y.a * y.b * (V + T(95)) - g_gaba * (V + T(70));
    d.n = rhs_n(v, y.n);
    d.m = T(phi_hh) * (alpha_m * (T(1) - y.m) - beta_m * y.m);
    d.h = T(phi_hh) * (alpha_h * (T(1) - y.h) - beta_h * y.h);
    d.a = (a_inf - y.a) / tau_a;
    d.b = (b_inf - y.b) / tau_b;
    return d;
}

template <class T>
INLINE LnState<T> rhs(const LnState<T>& y, T g_ach, T g_gaba, T I) {
    const T V = y.V;

    const T m_inf = T(1) / (T(1) + std::exp(-(V + T(20)) / T(6.5)));
    const T h_inf = T(1) / (T(1) + std::exp((V + T(25)) / T(12)));
    const T tau_h = T(0.3) * std::exp((V - T(40)) / T(13)) +
                    T(0.002) * std::exp((T(60) - V) / T(29));
    const T transmitter = T(1) / (T(1) + std::exp(-(V + T(20)) / T(1.5)));
    const T i_ca = T(3) * y.m * y.m * y.h * (V - T(140));

    LnState<T> d;
    d.V = I - T(0.15) * (V + T(50)) - T(0.02) * (V + T(95)) - i_ca -
          T(10) * y.n * y.n * y.n * y.n * (V + T(95)) - T(0.3) * y.k * (V + T(90)) - g_ach * V -
          g_gaba * (V + T(70));
    d.n = rhs_n(V + T(50), y.n);
    d.m = (m_inf - y.m) / T(1.5);
    d.h = (h_inf - y.h) / tau_h;
    d.k = T(phi_kca) * (T(0.01) * y.ca * (T(1) - y.k) - T(0.02) * y.k);
    d.ca = T(-2e-4) * i_ca - (y.ca - T(calcium_rest)) / T(150);
    d.o = T(gaba_alpha) * (T(1) - y.o) * transmitter - T(gaba_beta) * y.o;
    return d;
}

// ---------------------------------------------------------------- the lobe

template <class T, int NP, int NL>
class Lobe final : public LobeBase<T, NP, NL> {
    using Base = LobeBase<T, NP, NL>;
    using Base::g_ach_, Base::i_ln_, Base::i_pn_, Base::ln_, Base::p_, Base::pn_;
    using Base::inhibit, Base::w_gaba_ln_, Base::w_gaba_pn_;

  public:
    using Base::Base;

  private:
    void integrate(const T drive[4]) override {
        const T dt = T(p_.dt);
        pn_point_ = pn_;
        ln_point_ = ln_;
        stage<true>(g_ach_[0], drive[0], T(1), dt / 2);
        stage<false>(g_ach_[1], drive[1], T(2), dt / 2);
        stage<false>(g_ach_[2], drive[2], T(2), dt);
        stage<false>(g_ach_[3], drive[3], T(1), dt);
        for (int i = 0; i < NP; ++i) pn_.put(i, advance(pn_.get(i), dt / 6, pn_sum_.get(i)));
        for (int i = 0; i < NL; ++i) ln_.put(i, advance(ln_.get(i), dt / 6, ln_sum_.get(i)));
    }

    // Add weight times the slopes at the points to the sums, and make the points those that the
    // slopes lead to from the start of the step within a time reach.
    template <bool first>
    void stage(const T* __restrict g_ach, T drive, T weight, T reach) {
        alignas(64) T g_pn[NP], g_ln[NL];
        inhibit(w_gaba_pn_, ln_point_.o, g_pn);
        inhibit(w_gaba_ln_, ln_point_.o, g_ln);
#pragma GCC ivdep
        for (int i = 0; i < NP; ++i) {
            const PnState<T> k = rhs(pn_point_.get(i), g_pn[i], drive * i_pn_[i]);
            pn_sum_.put(i, first ? k : advance(pn_sum_.get(i), weight, k));
            pn_point_.put(i, advance(pn_.get(i), reach, k));
        }
#pragma GCC ivdep
        for (int i = 0; i < NL; ++i) {
            const LnState<T> k = rhs(ln_point_.get(i), g_ach[i], g_ln[i], drive * i_ln_[i]);
            ln_sum_.put(i, first ? k : advance(ln_sum_.get(i), weight, k));
            ln_point_.put(i, advance(ln_.get(i), reach, k));
        }
    }

    PnRows<T, NP> pn_point_, pn_sum_;
    LnRows<T, NL> ln_point_, ln_sum_;
};

int main(int argc, char** argv) { return command_line<Lobe>("cpp", argc, argv); }
