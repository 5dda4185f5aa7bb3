// What lobe.cpp and lobe_tuned.cpp share beside the model: the problem file, recordings, the trace
// file and the command line. problem.py makes and describes the problem files.

#pragma once

#include <algorithm>
#include <cctype>
#include <ctime>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

// ---------------------------------------------------------------- problem file

// Numbers, arrays and objects are all a problem file holds; strings are skipped.
struct Json {
    double number = 0;
    std::vector<Json> items;
    std::map<std::string, Json> fields;

    const Json& operator[](const char* key) const {
        auto found = fields.find(key);
        if (found == fields.end()) throw std::runtime_error(std::string("missing field ") + key);
        return found->second;
    }
    std::vector<double> numbers() const {
        std::vector<double> out;
        for (const Json& item : items) out.push_back(item.number);
        return out;
    }
};

class JsonReader {
  public:
    explicit JsonReader(std::string text) : text_(std::move(text)) {}

    Json read() {
        Json value;
        const char c = peek();
        if (c == '{') {
            for (++at_; peek() != '}'; skip(',')) {
                std::string key = string();
                skip(':');
                value.fields[key] = read();
            }
            ++at_;
        } else if (c == '[') {
            for (++at_; peek() != ']'; skip(',')) value.items.push_back(read());
            ++at_;
        } else if (c == '"') {
            string();
        } else {
            char* end = nullptr;
            value.number = std::strtod(text_.c_str() + at_, &end);
            const std::size_t stop = std::size_t(end - text_.c_str());
            if (stop == at_) throw std::runtime_error("the problem file is not valid");
            at_ = stop;
        }
        return value;
    }

  private:
    char peek() {
        while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
        if (at_ == text_.size()) throw std::runtime_error("the problem file ends too early");
        return text_[at_];
    }
    void skip(char c) {
        if (peek() == c) ++at_;
    }
    std::string string() {
        peek();
        const std::size_t first = at_ + 1, last = text_.find('"', first);
        if (last == std::string::npos) throw std::runtime_error("the problem file ends too early");
        at_ = last + 1;
        return text_.substr(first, last - first);
    }

    std::string text_;
    std::size_t at_ = 0;
};

struct Problem {
    double dt, duration, on, off, rise, decay, ach_ln, gaba_pn, gaba_ln;
    std::vector<double> v0_pn, v0_ln, i_pn, i_ln;
    std::vector<std::vector<double>> pn_ln, ln_pn, ln_ln;  // [post][pre]

    explicit Problem(const Json& j)
        : dt(j["dt_ms"].number), duration(j["duration_ms"].number), on(j["on"].number),
          off(j["off"].number), rise(j["rise"].number), decay(j["decay"].number),
          ach_ln(j["weights"]["ach_ln"].number), gaba_pn(j["weights"]["gaba_pn"].number),
          gaba_ln(j["weights"]["gaba_ln"].number), v0_pn(j["v0_pn"].numbers()),
          v0_ln(j["v0_ln"].numbers()), i_pn(j["I_pn"].numbers()), i_ln(j["I_ln"].numbers()) {
        for (const Json& row : j["pn_ln"].items) pn_ln.push_back(row.numbers());
        for (const Json& row : j["ln_pn"].items) ln_pn.push_back(row.numbers());
        for (const Json& row : j["ln_ln"].items) ln_ln.push_back(row.numbers());
    }

    double drive(double t) const {
        if (t <= on) return 0;
        if (t <= off) return 1 - std::exp(-(t - on) / rise);
        return (1 - std::exp(-(off - on) / rise)) * std::exp(-(t - off) / decay);
    }
};

// ---------------------------------------------------------------- recordings

struct Spike {
    double t;
    int cell;
};

struct Recording {
    std::vector<Spike> pn, ln;
    std::vector<float> v;     // all PNs every 1 ms, row after row
    std::vector<float> mean;  // mean PN voltage every 0.1 ms

    void reserve(std::size_t samples, std::size_t n) {
        v.reserve(samples * n);
        mean.reserve(10 * samples);
        pn.reserve(1 << 16);
        ln.reserve(1 << 16);
    }
};

// ---------------------------------------------------------------- trace file

inline void write_spikes(std::ostream& file, const std::vector<Spike>& spikes,
                         std::size_t n_cells) {
    std::vector<std::vector<double>> per_cell(n_cells);
    for (const Spike& spike : spikes) per_cell[spike.cell].push_back(spike.t);
    const char* comma = "";
    file << '[';
    for (const auto& times : per_cell) {
        file << comma << '[';
        comma = ",";
        for (std::size_t k = 0; k < times.size(); ++k) file << (k ? "," : "") << times[k];
        file << ']';
    }
    file << ']';
}

inline void write_trace(const std::string& path, const Problem& p, const Recording& r) {
    std::ofstream file(path);
    const std::size_t n = p.v0_pn.size(), rows = r.v.size() / n;
    file.precision(12);
    file << "{\"pn_spikes_ms\": ";
    write_spikes(file, r.pn, n);
    file << ", \"ln_spikes_ms\": ";
    write_spikes(file, r.ln, p.v0_ln.size());
    file.precision(9);
    file << ", \"t_ms\": [";
    for (std::size_t k = 0; k < rows; ++k) file << (k ? "," : "") << k;
    file << "], \"v_pn_mV\": [";
    for (std::size_t k = 0; k < rows; ++k) {
        file << (k ? ",[" : "[");
        for (std::size_t i = 0; i < n; ++i) file << (i ? "," : "") << r.v[k * n + i];
        file << ']';
    }
    file << "], \"mean_v_pn_mV\": [";
    for (std::size_t k = 0; k < r.mean.size(); ++k) file << (k ? "," : "") << r.mean[k];
    file << "]}\n";
    if (!file) throw std::runtime_error("cannot write " + path);
}

// ---------------------------------------------------------------- command line

// Whether all recorded voltages are numbers, by their bits: -ffast-math assumes that all are.
inline bool is_finite(const Recording& r) {
    return std::none_of(r.mean.begin(), r.mean.end(), [](float v) {
        std::uint32_t bits;
        std::memcpy(&bits, &v, sizeof bits);
        return (bits & 0x7f800000u) == 0x7f800000u;
    });
}

struct Options {
    std::string peer, dtype = "float64", trace;
    int repeats = 1;
};

template <class T, class Lobe>
void report(const Problem& p, const Options& options) {
    auto lobe = std::make_unique<Lobe>(p);
    std::vector<double> us;
    Recording recording;
    for (int k = 0; k < options.repeats; ++k) {
        const std::clock_t start = std::clock();
        recording = lobe->run();
        const double took = 1e6 * double(std::clock() - start) / CLOCKS_PER_SEC;
        us.push_back(took / double(lobe->steps()));
    }
    if (!is_finite(recording)) throw std::runtime_error("a voltage is not a number");
    if (!options.trace.empty()) write_trace(options.trace, p, recording);
    std::sort(us.begin(), us.end());
    std::printf("{\"peer\": \"%s\", \"dtype\": \"%s\", \"us_per_step\": %.4f, "
                "\"us_per_step_min\": %.4f, \"repeats\": %d, \"steps\": %lld, "
                "\"pn_spikes\": %zu, \"ln_spikes\": %zu}\n",
                options.peer.c_str(), options.dtype.c_str(), us[us.size() / 2], us[0],
                options.repeats, static_cast<long long>(lobe->steps()), recording.pn.size(),
                recording.ln.size());
}

template <template <class, int, int> class Lobe, class T>
void dispatch(const Problem& p, const Options& options) {
    const std::size_t n_pn = p.v0_pn.size(), n_ln = p.v0_ln.size();
    if (n_pn <= 16 && n_ln <= 16)
        report<T, Lobe<T, 16, 16>>(p, options);
    else if (n_pn <= 96 && n_ln <= 32)
        report<T, Lobe<T, 96, 32>>(p, options);
    else
        throw std::runtime_error("no lobe of this size was compiled: add one to dispatch()");
}

// Lobe<T, NP, NL> has steps() and run(), and is made from a Problem.
template <template <class, int, int> class Lobe>
int command_line(const char* peer, int argc, char** argv) try {
    Options options;
    options.peer = peer;
    std::string path;
    for (int k = 1; k < argc; ++k) {
        const std::string argument = argv[k];
        if (argument.rfind("--", 0) != 0) {
            path = argument;
        } else if (k + 1 == argc) {
            throw std::runtime_error(argument + " needs a value");
        } else if (argument == "--dtype") {
            options.dtype = argv[++k];
        } else if (argument == "--repeats") {
            options.repeats = std::max(1, std::atoi(argv[++k]));
        } else if (argument == "--trace") {
            options.trace = argv[++k];
        } else {
            throw std::runtime_error("unknown option " + argument);
        }
    }
    std::ifstream file(path);
    if (!file) throw std::runtime_error("usage: lobe problem.json [--dtype float64|float32] "
                                        "[--repeats R] [--trace FILE]");
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    const Problem problem(JsonReader(text).read());
    if (options.dtype == "float64")
        dispatch<Lobe, double>(problem, options);
    else if (options.dtype == "float32")
        dispatch<Lobe, float>(problem, options);
    else
        throw std::runtime_error("dtype is float64 or float32, not " + options.dtype);
    return 0;
} catch (const std::exception& error) {
    std::cerr << "lobe: " << error.what() << '\n';
    return 1;
}
