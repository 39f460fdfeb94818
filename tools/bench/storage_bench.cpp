// What dense and sparse weights cost on the runtime's kernels, and the constants of
// choose-storage's cost model that follow (docs/compiler.md):
//
//   dense:  time = a * weights + runs and outputs
//   sparse: time = b * bytes of bits + c * weights that are not 0 + runs and outputs
//
// for each position of the output. A run is a piece of a row of weights that meets codes side by
// side in memory. A convolution whose output is at least four wide uses each sparse weight for four
// positions, so there are two sets of constants. The machine may be shared: dense and sparse run in
// turn, and the least times count.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <random>
#include <vector>

#include "compile/backends/plan/writer.h"
#include "compile/ir/ir.h"
#include "compile/ir/storage.h"
#include "intrt/intrt.h"
#include "tools/bench/paired_timing.h"

namespace {

using namespace lockstep;

struct Case {
  const char* name;
  ir::Shape in;
  std::int64_t outputs, kernel, pad;  // kernel 0: a linear layer
  std::int64_t largest;               // magnitude of a weight
  int zeros;                          // percent
};

ir::Value value(const char* node, ir::Shape shape, int bits) {
  ir::Value v;
  v.node = node;
  v.shape = shape;
  v.bits = bits;
  v.decimals = {0};
  v.ranges.assign(static_cast<std::size_t>(shape.c), ir::code_limits(bits));
  v.keep = true;
  return v;
}

template <typename Kind>
void fill(Kind& kind, const std::vector<std::size_t>& shape, const Case& c) {
  std::mt19937 random(1);
  kind.weights = xt::xarray<std::int32_t>::from_shape(shape);
  for (std::int32_t& weight : kind.weights) {
    weight = 1 + static_cast<std::int32_t>(random() % static_cast<std::uint32_t>(c.largest));
    if (random() % 100 < static_cast<unsigned>(c.zeros)) weight = 0;
  }
  kind.weights.data()[0] = static_cast<std::int32_t>(c.largest);
  kind.wide = c.largest > 32767;
  kind.post.function = ir::Requantize{{12}, Rounding::kFloor, -128, 127};
}

struct Prepared {
  std::vector<std::byte> plan;
  ir::StorageSize size;
  double positions = 1;
};

// Dense where neither is asked for. `segments` of equal length, shifts of 1.
struct Form {
  bool sparse = false;
  std::int64_t segments = 0;
};

template <typename Kind>
void set_form(Kind& kind, const Form& form, std::int64_t inputs) {
  kind.sparse = form.sparse;
  for (std::int64_t s = 1; s <= form.segments; ++s)
    kind.segments.push_back({inputs * s / form.segments, s == 1 ? 0 : 1});
}

Prepared prepare(const Case& c, const Form& form) {
  ir::Program program;
  program.name = "bench";
  program.layout = ir::Layout::kPhysical;
  ir::Shape out{c.outputs, 1, 1, 1};
  Prepared prepared;
  ir::OpKind kind;
  const auto size = [](std::int64_t x) { return static_cast<std::size_t>(x); };
  if (c.kernel == 0) {
    ir::Linear linear;
    set_form(linear, form, c.in.c);
    fill(linear, {size(c.outputs), size(c.in.count())}, c);
    prepared.size = ir::storage_size(linear.weights, linear.wide);
    kind = linear;
  } else {
    ir::Conv2d conv;
    set_form(conv, form, c.in.c);
    conv.window.kernel = {c.kernel, c.kernel};
    conv.window.pad = {c.pad, c.pad, c.pad, c.pad};
    out = {c.outputs, conv.window.output_size(0, c.in.h), conv.window.output_size(1, c.in.w), 3};
    fill(conv, {size(c.outputs), size(c.kernel), size(c.kernel), size(c.in.c)}, c);
    prepared.size = ir::storage_size(conv.weights, conv.wide);
    prepared.positions = static_cast<double>(out.h * out.w);
    kind = conv;
  }
  program.values = {value("in", c.in, 8), value("out", out, 8)};
  program.ops = {{.node = "out", .inputs = {0}, .output = 1, .kind = kind}};
  program.inputs = {0};
  program.outputs = {1};
  ir::derive_ranges(program);
  const auto aligned = [](std::int64_t bytes) { return (bytes + 15) / 16 * 16; };
  program.values[0].arena_offset = 0;
  program.values[1].arena_offset = aligned(c.in.count());
  program.arena_bytes = aligned(c.in.count()) + aligned(out.count());
  ir::validate(program);
  prepared.plan = backends::write_plan(program);
  return prepared;
}

// Runs a plan often enough to take about a millisecond.
class Runner {
 public:
  explicit Runner(const Prepared& prepared)
      : bytes_(prepared.plan), positions_(prepared.positions) {
    if (intrt_open(&plan_, bytes_.data(), bytes_.size(), nullptr) != INTRT_OK) std::abort();
    arena_.resize(intrt_arena_bytes(&plan_) / sizeof(Block));
    std::mt19937 random(2);
    for (Block& block : arena_)
      for (std::uint8_t& byte : block.bytes) byte = static_cast<std::uint8_t>(random());
    const double macs = static_cast<double>(prepared.size.weights()) * positions_;
    runs_ = static_cast<int>(2e6 / macs) + 1;
  }
  Runner(const Runner&) = delete;  // the plan points into the bytes
  Runner& operator=(const Runner&) = delete;
  void run() {
    for (int i = 0; i < runs_; ++i)
      if (intrt_run(&plan_, arena_.data(), arena_.size() * sizeof(Block), nullptr) != INTRT_OK)
        std::abort();
  }
  double ns_per_position(double ms) const { return ms * 1e6 / runs_ / positions_; }

 private:
  struct alignas(16) Block {
    std::array<std::uint8_t, 16> bytes;
  };
  std::vector<std::byte> bytes_;
  std::vector<Block> arena_;
  intrt_plan plan_{};
  double positions_;
  int runs_ = 1;
};

// Least squares of the relative errors of time ~ sum of weight[i] * x[i].
template <std::size_t N>
class Fit {
 public:
  void add(std::array<double, N> x, double time) {
    for (double& each : x) each /= time;
    samples_.push_back(x);
    for (std::size_t i = 0; i < N; ++i) {
      for (std::size_t k = 0; k < N; ++k) rows_[i][k] += x[i] * x[k];
      rows_[i][N] += x[i];
    }
  }
  std::array<double, N> weights() const {  // Gauss-Jordan; the matrix is positive definite
    auto rows = rows_;
    for (std::size_t pivot = 0; pivot < N; ++pivot)
      for (std::size_t i = 0; i < N; ++i) {
        if (i == pivot) continue;
        const double factor = rows[i][pivot] / rows[pivot][pivot];
        for (std::size_t k = 0; k <= N; ++k) rows[i][k] -= factor * rows[pivot][k];
      }
    std::array<double, N> result;
    for (std::size_t i = 0; i < N; ++i) result[i] = rows[i][N] / rows[i][i];
    return result;
  }

  // The largest relative error, in percent.
  double worst() const {
    const std::array<double, N> factors = weights();
    double worst = 0;
    for (const auto& x : samples_) {
      double estimate = 0;
      for (std::size_t i = 0; i < N; ++i) estimate += factors[i] * x[i];
      worst = std::max(worst, 100 * std::abs(estimate - 1));
    }
    return worst;
  }

 private:
  std::array<std::array<double, N + 1>, N> rows_{};
  std::vector<std::array<double, N>> samples_;
};

void measure(const char* title, const std::vector<Case>& shapes) {
  Fit<3> dense;
  Fit<4> sparse;
  fmt::print("{}\n{:<22} {:>6} {:>10} {:>12} {:>12}\n", title, "", "zeros", "weights", "dense ns",
             "sparse ns");
  for (Case c : shapes)
    for (const int zeros : {0, 50, 75, 90, 95, 99}) {
      c.zeros = zeros;
      const Prepared without = prepare(c, {}), with = prepare(c, {.sparse = true});
      Runner a(without), b(with);
      const std::vector<bench::Contestant> contestants = {{"dense", [&] { a.run(); }},
                                                          {"sparse", [&] { b.run(); }}};
      const std::vector<bench::Timing> times = bench::time_paired(contestants, 15);
      const double a_ns = a.ns_per_position(times[0].least_ms),
                   b_ns = b.ns_per_position(times[1].least_ms);
      fmt::print("{:<22} {:>5}% {:>10} {:>12.1f} {:>12.1f}\n", c.name, zeros, with.size.weights(),
                 a_ns, b_ns);
      const auto rows = static_cast<double>(c.outputs * std::max<std::int64_t>(c.kernel, 1));
      const double runs =
          c.kernel == 0 || c.in.c % 8 == 0 ? rows : rows * static_cast<double>(c.kernel);
      dense.add({static_cast<double>(with.size.weights()), static_cast<double>(c.outputs), rows},
                a_ns);
      sparse.add({static_cast<double>(with.size.bitmap_bytes()),
                  static_cast<double>(with.size.nonzeros), static_cast<double>(c.outputs), runs},
                 b_ns);
    }
  const auto d = dense.weights();
  const auto s = sparse.weights();
  fmt::print(
      "dense: a = {:.3f} ns, {:.2f} ns for each output, {:.2f} ns for each run; off by at most "
      "{:.0f} %\n",
      d[0], d[1], d[2], dense.worst());
  fmt::print(
      "sparse: b = {:.3f} ns, c = {:.3f} ns, {:.2f} ns for each output, {:.2f} ns for each run; "
      "off by at most {:.0f} %\n\n",
      s[0], s[1], s[2], s[3], sparse.worst());
}

// Weights of 16 bits against weights of 8 with segments.
void measure_segments(const std::vector<Case>& shapes) {
  fmt::print("Segments, ns\n{:<22} {:>10} {:>10} {:>8} {:>8} {:>8}\n", "", "weights", "16 bits",
             "8: 2", "8: 4", "8: 8");
  for (Case c : shapes) {
    c.largest = 1000;
    const Prepared wide = prepare(c, {});
    c.largest = 1;  // so that no sum with its shifts can overflow
    std::deque<Runner> runners;
    runners.emplace_back(wide);
    for (const std::int64_t segments : {2, 4, 8})
      runners.emplace_back(prepare(c, {.segments = segments}));
    std::vector<bench::Contestant> contestants;
    for (Runner& runner : runners) contestants.push_back({"", [&runner] { runner.run(); }});
    const std::vector<bench::Timing> times = bench::time_paired(contestants, 15);
    fmt::print("{:<22} {:>10}", c.name, wide.size.weights());
    for (std::size_t i = 0; i < runners.size(); ++i)
      fmt::print(" {:>{}.1f}", runners[i].ns_per_position(times[i].least_ms), i == 0 ? 10 : 8);
    fmt::print("\n");
  }
}

}  // namespace

int main() {
  for (const std::int64_t largest : {100, 1000, 100000}) {
    const char* type = largest > 32767 ? "32" : largest > 127 ? "16" : "8";
    measure(fmt::format("Convolutions, weights of {} bits", type).c_str(),
            {{"3x3, 32 to 32", {32, 16, 16, 3}, 32, 3, 1, largest, 0},
             {"3x3, 16 to 32", {16, 16, 16, 3}, 32, 3, 1, largest, 0},
             {"1x1, 64 to 64", {64, 16, 16, 3}, 64, 1, 0, largest, 0},
             {"3x3, 8 to 16", {8, 28, 28, 3}, 16, 3, 0, largest, 0},
             {"3x3, 1 to 6", {1, 12, 12, 3}, 6, 3, 0, largest, 0},
             {"3x3, 3 to 8", {3, 12, 12, 3}, 8, 3, 0, largest, 0},
             {"5x5, 6 to 16", {6, 14, 14, 3}, 16, 5, 0, largest, 0},
             {"3x3, 64 to 64", {64, 8, 8, 3}, 64, 3, 1, largest, 0}});
    measure(fmt::format("Linear layers, weights of {} bits", type).c_str(),
            {{"784 to 128", {784, 1, 1, 1}, 128, 0, 0, largest, 0},
             {"400 to 120", {400, 1, 1, 1}, 120, 0, 0, largest, 0},
             {"120 to 84", {120, 1, 1, 1}, 84, 0, 0, largest, 0},
             {"3x3 on 3x3, 64 to 64", {64, 3, 3, 3}, 64, 3, 0, largest, 0}});
  }
  measure_segments({{"3x3, 32 to 32", {32, 16, 16, 3}, 32, 3, 1, 0, 0},
                    {"1x1, 64 to 64", {64, 16, 16, 3}, 64, 1, 0, 0, 0},
                    {"3x3, 64 to 64", {64, 8, 8, 3}, 64, 3, 1, 0, 0},
                    {"784 to 128", {784, 1, 1, 1}, 128, 0, 0, 0, 0}});
}
