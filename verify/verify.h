// The verifier's front door. It shares with the compiler the readers of graph and state dict, and
// nothing else: shapes, integer meaning, weight derivation and comparison are its own.
//
// What it does: (1) re-derives every constant of the plan from graph and state dict and compares
// bit for bit; (2) runs the float path, the exact integer semantics, the plan on every kernel
// variant that this CPU can run, and the generated C, or without C the plan, on every requested
// target, on the same inputs, and compares every visible tensor with zero tolerance; (3) probes
// each operator of the generated C alone. The proofs for all inputs, of the plan (verify/checker)
// and of the C (verify/c_proof), share no code with this; their outcomes are options. Proved is
// only what they and the runs agree about.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "compile/checkpoint/state_dict.h"
#include "compile/graph/graph.h"

namespace lockstep::verify {

struct Proved {
  std::string method;
};
struct Refuted {
  std::string layer, first_difference;
};
struct Unknown {
  std::string reason;
};
using Verdict = std::variant<Proved, Refuted, Unknown>;

// Codes of one graph tensor for several samples, PyTorch's axis order without the batch: element
// i of sample s is codes[s * element_count + i]; value = code * 2^-decimals[i or channel]. A real
// tensor, the result of float functions, has the bit patterns of its float32 values in place of
// codes; inputs are never real.
struct TensorCodes {
  std::vector<std::int64_t> shape;  // without batch
  std::vector<int> decimals;        // 1, or one per element
  std::vector<std::int64_t> codes;
  bool real = false;
  std::int64_t element_count() const;
};

// Input codes of one batch; one entry per graph input, all with the same number of samples. Of a
// raw input its bytes, 0 to 255, with decimal 0.
using Batch = std::vector<TensorCodes>;

// Samples that are made when they are asked for, so that a large data set needs no memory.
struct DataSource {
  std::int64_t samples = 0;
  // Samples [first, first + count), inside [0, samples); may be asked for any of them again, and
  // must then give the same. Called in one thread at a time.
  std::function<Batch(std::int64_t first, std::int64_t count)> take;
};

// The float path: LibTorch in eval mode, in the canonical order of operations (docs/arithmetic.md).
// Made by make_float_path() in verify/float_path, the only part that needs LibTorch.
class FloatPath {
 public:
  virtual ~FloatPath() = default;
  // The float32 value of every node in `nodes`, row-major with the batch in front.
  virtual std::vector<std::vector<float>> run(const Batch& batch, std::int64_t samples,
                                              std::span<const std::string> nodes) = 0;
  // The same with `layers`, all of them linear, computed in double: input, weight, sum and, where
  // it is quantized, bias. A double goes on as such through whatever rounds nothing, and becomes a
  // float32 where a float function takes it or a quantize node has made a code of it.
  virtual std::vector<std::vector<double>> run_in_double(const Batch& batch, std::int64_t samples,
                                                         std::span<const std::string> nodes,
                                                         std::span<const std::string> layers) = 0;
};
std::unique_ptr<FloatPath> make_float_path(const Graph& graph, const StateDict& state);

// What a proof says. Of the plan: that every named tensor and every output is what the graph says,
// for all inputs, from the files alone. Of the C: that it computes what the plan does. Or what it
// cannot show.
struct ProofOutcome {
  enum class Kind : std::uint8_t { kProved, kRefuted, kUnknown };
  Kind kind = Kind::kUnknown;
  std::string layer, obligation, text;       // of what does not hold
  std::vector<std::string> unstable_layers;  // proved against double: float32 depends on the order
};

struct Options {
  std::span<const std::byte> plan;
  std::optional<ProofOutcome> proof;              // without one nothing is Proved
  std::optional<ProofOutcome> c_proof;            // that the C is the plan (verify/c_proof)
  std::optional<std::filesystem::path> c_folder;  // with the C that compile --emit-c wrote
  std::string c_prefix = "net";
  // "host", "host-all", the name of an emulated core, or "all": where the C of c_folder runs, with
  // the compilers of the host and of the cores. Without C: the cores on which the runtime runs the
  // plan; on the host it does in any case.
  std::vector<std::string> targets = {"host"};
  FloatPath* float_path = nullptr;  // null: the verdict says that it was not compared
  DataSource source;                // the caller's data, behind the batches given to verify_plan
  // Samples made up besides the data: this many random ones, and on top of them corner codes and
  // what the two searches below find. 0: none at all.
  std::int64_t random_samples = 64;
  // The search for inputs that drive the accumulators of all linear layers as near as possible to
  // their ends (Report::worst_cases) takes about this many multiplications, some seconds at most;
  // 0: no search.
  std::int64_t worst_case_work = std::int64_t{1} << 32;
  // How many inputs to try at most for a float32 sum that rounds, where a layer has sums that may.
  std::int64_t witness_tries = 256;
  std::uint64_t seed = 1;
  // How many samples the C runs on at most, per host compiler: in turn one of the data, one random
  // one, one that drives accumulators to their ends, one corner; fewer where that many would need
  // too much memory. Emulated targets run min(c_samples, 2), of C or plan. The reports say how many
  // it was.
  std::int64_t c_samples = 512;
  // How many probes of the C's layers to run at most (Report::c_probes), on the host if that is a
  // target; fewer for a network of millions of multiplications and on an emulated target; 0: none.
  std::int64_t c_probes = 256;
  std::chrono::milliseconds child_timeout =
      std::chrono::minutes(5);                       // of each compilation and each run of C
  std::function<void(const std::string&)> progress;  // one line per finished step; may be empty
};

// What one run of generated C, or of a plan, took on an emulated core, exactly.
struct ExecutionCounts {
  std::uint64_t instructions = 0;
  std::uint64_t reads = 0, writes = 0;    // accesses to data: loading two registers are two
  std::uint64_t multiplications = 0;      // of the scalar unit, with or without an addition
  std::uint64_t branches = 0;             // calls and returns among them
  std::uint64_t vector_instructions = 0;  // of the vector and floating-point unit
};

struct EmulatedCost {
  ExecutionCounts counts;   // each the most that a sample took
  ExecutionCounts opening;  // of a plan, once; of C nothing
  // Of net_run, or of intrt_open_with and intrt_run, and what they call; the most that a call took.
  std::uint64_t stack_bytes = 0;
  // The most that any run takes, from the frames of the C's functions; nothing where there is no
  // bound.
  std::optional<std::uint64_t> stack_bound_bytes = {};
  // Of PREFIX.c as the compiler wrote it; or of the plan and what it needs of the runtime.
  std::uint64_t code_bytes = 0, constant_bytes = 0;
};

struct PathReport {  // one row of the table that verify prints
  std::string path;  // "plan (scalar)", "plan cortex-m4 (qemu)", "C gcc -O3", "C cortex-m4 (qemu)",
                     // "float (LibTorch)", "float64 (LibTorch)": where float32 sums may round, they
                     // are double
  std::int64_t samples = 0, tensors = 0, values = 0, differing = 0;
  std::string failure;  // why it gave no answer, or ended early; empty: it ran to its end
  std::optional<EmulatedCost> cost;  // emulated targets only: of the build without observation
};

// Probes of generated C: each of its operators alone, on inputs of its own (docs/verification.md).
struct ProbeReport {
  std::string path;         // "C gcc -O3 layer probes"
  std::int64_t probes = 0;  // inputs that every operator had
};

// One end of the accumulators of one channel of a linear layer.
struct WorstCaseReport {
  std::string layer;
  std::int64_t channel = 0;
  bool largest = false;       // else the smallest
  std::int64_t bound = 0;     // proved for every input; the layer alone attains it
  std::int64_t attained = 0;  // through the network, on the sample below
  std::int64_t sample = 0;
};

struct Report {
  Verdict verdict;
  // Every constant was re-derived, every requested path ran on at least one sample, and nothing
  // differed; without a float path the verdict says so. This is what Unknown "agreed on N inputs,
  // not proved" rests on, and the only Unknown that may be accepted as tested. It is no proof.
  bool agreed = false;
  // An input on which LibTorch's float32 differs, in or behind a layer whose float32 sum depends on
  // the order; empty when none was found.
  std::string float32_witness;
  std::int64_t samples = 0;
  // Those that were searched, two per channel (Options::worst_case_work); `channels`: all that
  // there are.
  std::vector<WorstCaseReport> worst_cases;
  std::int64_t channels = 0;
  std::vector<PathReport> paths;
  std::optional<ProbeReport> c_probes;  // with C, when nothing differed before
  std::int64_t constants_checked = 0;   // numbers of the plan that were re-derived
  bool constants_agree = false;         // every number of the plan was, and is right
  // Argmax over the first output's real values (the first of equal ones), one per sample of the
  // data, in order. float_predictions is empty without a float path.
  std::vector<std::int64_t> float_predictions, plan_predictions;
};

// `data`: batches of input codes to run besides the generated ones; may be empty. Throws InputError
// for bad input (a plan that does not open, a missing compiler or emulator for a requested target),
// never for a difference.
Report verify_plan(const Graph& graph, const StateDict& state, std::span<const Batch> data,
                   const Options& options);

}  // namespace lockstep::verify
