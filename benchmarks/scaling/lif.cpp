// Integrate-and-fire cells, exponential Euler: what the loop over cells costs when it is written out.
// lif N STEPS prints the nanoseconds of processor time of a cell and step.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <utility>
#include <vector>

int main(int, char** argv) {
  const int n = std::atoi(argv[1]), steps = std::atoi(argv[2]), held = 20;
  const double rest = -65, threshold = -50, resistance = 10, tau = 20, dt = 0.1;
  std::vector<double> v(n), current(n);
  std::vector<int> left(n);
  std::vector<std::pair<double, int>> spikes;
  for (int i = 0; i < n; i++) {
    v[i] = rest + 15.0 * ((i * 7919LL) % n) / n;
    current[i] = 1.6 + 1.4 * i / n;
  }
  const std::clock_t begin = std::clock();
  for (int step = 0; step < steps; step++) {
    const double share = 1 - std::exp(-dt / tau);
    for (int i = 0; i < n; i++) {
      if (left[i] > 0) {
        left[i]--;
        continue;
      }
      const double before = v[i];
      const double after = before + (rest + resistance * current[i] - before) * share;
      v[i] = after;
      if (after > threshold) {
        spikes.push_back({(step + (threshold - before) / (after - before)) * dt, i});
        v[i] = rest;
        left[i] = held;
      }
    }
  }
  const double time = double(std::clock() - begin) / CLOCKS_PER_SEC;
  std::printf("%.6f %zu\n", time * 1e9 / n / steps, spikes.size());
}
