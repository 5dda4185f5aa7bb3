// The locust antennal lobe (90 PN, 30 LN) as a hand-written single-threaded loop, tuned.
//
// What one core can do for exactly this network, method (RK4, fixed step) and set of recordings,
// with no generality and with less arithmetic than the equations state. lobe.cpp is the same
// program with the equations as they are written, and the one to compare simulators with.
//
//   g++ -std=c++17 -O3 -march=native -ffast-math -o DIR/lobe_tuned lobe_tuned.cpp
//   DIR/lobe_tuned problem.json [--dtype float64|float32] [--repeats R] [--trace FILE]
//
// Output as of lobe.cpp. The model beside the right-hand sides below is in lobe_base.hpp.
//
// What makes it faster than lobe.cpp:
// - within a step no PN acts on anything (its transmitter pulse is known beforehand), so the LNs
//   take their four stages first, and each block of PNs then takes all four without leaving cache;
// - exponentials whose exponents are small multiples of one another are powers of one: 6 calls for
//   the PN in place of 12, 5 for the LN in place of 7;
// - rates are rearranged to have fewer divisions, and the two leaks of a cell are one;
// - LN->PN inhibition of the four stages is one matrix product, so weights are read once per step.
// What it does beyond lobe.cpp: the removable singularities of the rates are cured.

#include <type_traits>

#include "lobe_base.hpp"

// ---------------------------------------------------------------- equations

// exp of a constant, at compile time: Taylor series of x/64, squared six times.
constexpr double const_exp(double x) {
    double sum = 1, term = 1;
    for (int k = 1; k < 30; ++k) sum += term *= x / 64 / k;
    for (int k = 0; k < 6; ++k) sum *= sum;
    return sum;
}

// z / (e^z - 1), given e^z as well; the series near 0 avoids 0/0 and cancellation.
template <class T>
INLINE T linoid(T z, T exp_z) {
    constexpr T near = std::is_same_v<T, float> ? T(0.05) : T(1e-3);
    const bool small = std::abs(z) < near;
    const T denominator = small ? T(1) : exp_z - T(1);
    return small ? T(1) - z * (T(0.5) - z * T(1.0 / 12)) : z / denominator;
}

// Delayed rectifier n, both cell types. u = exp(-v/40), x5 = exp(-v/5) = u^8.
template <class T>
INLINE T rhs_n(T v, T n, T u, T x5) {
    const T alpha = T(0.1) * linoid((T(15) - v) * T(0.2), x5 * T(const_exp(3)));
    const T beta = T(0.5 * const_exp(0.25)) * u;
    return T(phi_hh) * (alpha - (alpha + beta) * n);
}

// g_gaba: conductance summed over presynaptic LNs; I: injected current.
template <class T>
INLINE PnState<T> rhs(const PnState<T>& y, T g_gaba, T I) {
    const T v = y.V + T(50);
    const T u = std::exp(v * T(-1.0 / 40));   // K beta; powers serve all of Na but alpha_h
    const T w = std::exp(v * T(-1.0 / 18));   // Na alpha_h; its cube serves I_A's steady state
    const T u2 = u * u, u4 = u2 * u2, x5 = u4 * u4, x4 = x5 * u2;
    const T w3 = w * w * w;

    const T alpha_m = T(1.28) * linoid((T(13) - v) * T(0.25), x4 * T(const_exp(3.25)));
    const T ex5 = T(1) / x5;
    const T beta_m = T(1.4) * linoid((v - T(40)) * T(0.2), ex5 * T(const_exp(-8)));
    const T alpha_h = T(0.128 * const_exp(17.0 / 18)) * w;
    const T beta_h = T(4) / (x5 * T(const_exp(8)) + T(1));

    const T a_inf = T(1) / (T(1) + std::exp((y.V + T(60)) * T(-1 / 8.5)));
    const T b_inf = w3 / (w3 + T(const_exp(28.0 / 6)));  // V + 78 = v + 28
    // 1/tau_a = phi / (1/s + 0.37) = phi s / (1 + 0.37 s)
    const T s = std::exp((y.V + T(35.82)) * T(1 / 19.69)) +
                std::exp((y.V + T(79.69)) * T(-1 / 12.7));
    const T rate_a = T(phi_a) * s / (T(1) + T(0.37) * s);
    const T rate_cold = T(phi_a) * (ex5 * T(const_exp(-3.95 / 5)) +  // V + 46.05 = v - 3.95
                                    std::exp((y.V + T(238.4)) * T(-1 / 37.45)));
    const T rate_b = y.V < T(-63) ? rate_cold : T(phi_a / 19);

    const T n2 = y.n * y.n, a2 = y.a * y.a;
    PnState<T> d;
    // (V - E) of leak and K leak: one conductance 0.2 with reversal -65
    d.V = I - T(0.2) * (y.V + T(65)) - T(100) * y.m * y.m * y.m * y.h * (y.V - T(50)) -
          T(10) * (n2 * n2 + a2 * a2 * y.b) * (y.V + T(95)) - g_gaba * (y.V + T(70));
    d.n = rhs_n(v, y.n, u, x5);
    d.m = T(phi_hh) * (alpha_m - (alpha_m + beta_m) * y.m);
    d.h = T(phi_hh) * (alpha_h - (alpha_h + beta_h) * y.h);
    d.a = (a_inf - y.a) * rate_a;
    d.b = (b_inf - y.b) * rate_b;
    return d;
}

template <class T>
INLINE LnState<T> rhs(const LnState<T>& y, T g_ach, T g_gaba, T I) {
    const T v = y.V + T(50);
    const T u = std::exp(v * T(-1.0 / 40));
    const T u2 = u * u, u4 = u2 * u2, x5 = u4 * u4;
    const T e13 = std::exp((y.V - T(40)) * T(1.0 / 13));
    const T e13_2 = e13 * e13;  // exp((V - 40) / 6.5)

    // 1 / (1 + exp(-(V + 20) / 6.5)), -(V + 20) = -(V - 40) - 60
    const T m_inf = e13_2 / (e13_2 + T(const_exp(-60 / 6.5)));
    const T h_inf = T(1) / (T(1) + std::exp((y.V + T(25)) * T(1.0 / 12)));
    const T tau_h = T(0.3) * e13 + T(0.002) * std::exp((T(60) - y.V) * T(1.0 / 29));
    const T transmitter = T(1) / (T(1) + std::exp((y.V + T(20)) * T(-1 / 1.5)));
    const T alpha_k = T(0.01 * phi_kca) * y.ca;
    const T i_ca = T(3) * y.m * y.m * y.h * (y.V - T(140));

    const T n2 = y.n * y.n;
    LnState<T> d;
    // leak 0.15 (V + 50) and K leak 0.02 (V + 95) together
    d.V = I - T(0.17) * y.V - T(0.15 * 50 + 0.02 * 95) - i_ca - T(10) * n2 * n2 * (y.V + T(95)) -
          T(0.3) * y.k * (y.V + T(90)) - g_ach * y.V - g_gaba * (y.V + T(70));
    d.n = rhs_n(v, y.n, u, x5);
    d.m = (m_inf - y.m) * T(1 / 1.5);
    d.h = (h_inf - y.h) / tau_h;
    d.k = alpha_k - (alpha_k + T(0.02 * phi_kca)) * y.k;
    d.ca = T(-2e-4) * i_ca - (y.ca - T(calcium_rest)) * T(1.0 / 150);
    d.o = T(gaba_alpha) * transmitter * (T(1) - y.o) - T(gaba_beta) * y.o;
    return d;
}

// ---------------------------------------------------------------- the lobe

template <class T, int NP, int NL>
class TunedLobe final : public LobeBase<T, NP, NL> {
    using Base = LobeBase<T, NP, NL>;
    using typename Base::Vector;
    using Base::g_ach_, Base::i_ln_, Base::i_pn_, Base::lanes, Base::ln_, Base::p_, Base::pn_;
    using Base::inhibit, Base::row, Base::w_gaba_ln_, Base::w_gaba_pn_;

  public:
    using Base::Base;

  private:
    void integrate(const T drive[4]) override {
        ln_step(drive);
        pn_step(drive);
    }

    // ---- LNs: stage after stage, because inhibition couples them

    void ln_step(const T drive[4]) {
        const T dt = T(p_.dt);
        LnRows<T, NL> y = ln_, sum;
        for (int stage = 0; stage < 4; ++stage) {
            std::memcpy(o_stage_[stage], y.o, sizeof y.o);
            alignas(64) T g_gaba[NL];
            inhibit(w_gaba_ln_, y.o, g_gaba);
            const T* g_ach = g_ach_[stage];
            const T I = drive[stage];
            const T weight = stage == 0 || stage == 3 ? T(1) : T(2);
            const T reach = stage < 2 ? dt / 2 : dt;  // to the point of the next stage
            if (stage == 0)
                ln_stage<true>(y, sum, g_ach, g_gaba, I, weight, reach);
            else
                ln_stage<false>(y, sum, g_ach, g_gaba, I, weight, reach);
        }
        const T h = dt / 6;
        for (int i = 0; i < NL; ++i) ln_.put(i, advance(ln_.get(i), h, sum.get(i)));
    }

    template <bool first>
    INLINE void ln_stage(LnRows<T, NL>& y, LnRows<T, NL>& sum, const T* __restrict g_ach,
                         const T* __restrict g_gaba, T I, T weight, T reach) {
#pragma GCC ivdep
        for (int i = 0; i < NL; ++i) {
            const LnState<T> k = rhs(y.get(i), g_ach[i], g_gaba[i], I * i_ln_[i]);
            if constexpr (first)
                sum.put(i, k);
            else
                sum.put(i, advance(sum.get(i), weight, k));
            y.put(i, advance(ln_.get(i), reach, k));
        }
    }

    // ---- PNs: each takes its whole step by itself

    // Conductances of all four stages: each weight is loaded once.
    void inhibit_pn() {
        for (int b = 0; b < NP / lanes; ++b) {
            Vector acc[4] = {};
            for (int j = 0; j < NL; ++j) {
                const Vector w = row(w_gaba_pn_[j], b);
                for (int s = 0; s < 4; ++s) acc[s] += w * o_stage_[s][j];
            }
            for (int s = 0; s < 4; ++s) *((Vector*)g_pn_[s] + b) = acc[s];
        }
    }

    void pn_step(const T drive[4]) {
        inhibit_pn();
        const T dt = T(p_.dt), half = dt / 2, sixth = dt / 6;
        const T s0 = drive[0], s1 = drive[1], s3 = drive[3];
#pragma GCC ivdep
        for (int i = 0; i < NP; ++i) {
            const T I = i_pn_[i];
            const PnState<T> y = pn_.get(i);
            const PnState<T> k1 = rhs(y, g_pn_[0][i], I * s0);
            const PnState<T> k2 = rhs(advance(y, half, k1), g_pn_[1][i], I * s1);
            PnState<T> sum = advance(k1, T(2), k2);
            const PnState<T> k3 = rhs(advance(y, half, k2), g_pn_[2][i], I * s1);
            sum = advance(sum, T(2), k3);
            const PnState<T> k4 = rhs(advance(y, dt, k3), g_pn_[3][i], I * s3);
            pn_.put(i, advance(y, sixth, advance(sum, T(1), k4)));
        }
    }

    alignas(64) T o_stage_[4][NL];  // GABA_A gates at each stage
    alignas(64) T g_pn_[4][NP];     // GABA_A conductance of the PNs at each stage
};

int main(int argc, char** argv) { return command_line<TunedLobe>("cpp_tuned", argc, argv); }
