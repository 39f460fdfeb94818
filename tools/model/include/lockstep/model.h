// Runs compiled networks in a program: lockstep::model.
//
//   lockstep::Model model("net.plan");
//   std::vector<float> image(model.inputs()[0].elements), scores(model.outputs()[0].elements);
//   model.run(image, scores);
//
// A Model is for one thread at a time. clone() gives another for another thread; all of them share
// the plan and the weights. The codes that come out are the same whatever kernels and however many
// threads compute them.
//
// What is wrong with a file, an option or a value is an InputError (a std::runtime_error), whose
// text names it, what was found and what is allowed. The outputs are then of no use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "compile/support/error.h"
#include "intrt/intrt.h"

namespace lockstep {

struct TensorInfo {
  std::string name;                 // of the graph's input or node
  std::vector<std::int64_t> shape;  // without the batch, as in PyTorch: (C,H,W), (C,L) or (N)
  std::size_t elements = 0;
  // A code lies in [-2^(bits-1), 2^(bits-1) - 1] and means code * 2^-decimal; or it is a byte of a
  // raw input, 0 to 255, which the network normalises by itself.
  int bits = 8;
  bool is_bytes = false;
  std::vector<int> decimals;     // one, or one for each index of the shape's first axis
  std::vector<float> offsets;    // per channel, to be added to the values; mostly empty
  std::vector<int> channel_map;  // which channels of the node these are; empty: all, in order
};

// One operator of the plan.
struct OperatorInfo {
  std::string node;         // of the graph, the first where several are fused; may be empty
  std::string kernel;       // intrt/kernel_list.def
  std::uint64_t macs = 0;   // multiplications for one sample
  std::uint64_t bytes = 0;  // of its inputs, its output and its stored weights
  // So many, from this one on, run together when nothing observes them; 0: no chain begins here.
  std::size_t chain_links = 0;
};

struct ModelOptions {
  // A variant of kernels, "scalar" for one; empty: what the environment variable LOCKSTEP_KERNELS
  // names, else the best that this CPU can run.
  std::string kernels = {};
  int threads = 1;  // 1 to 1024, which run() uses for large operators or for many samples
  // Threads of the caller's in place of own ones; `threads` is then not looked at. It outlives the
  // model and its clones, and is called by all of them.
  const intrt_parallel* parallel = nullptr;
};

// Samples one behind the other, each in the order of the shape (in PyTorch's order of axes).
// Numbers are quantized in the input's format: clamp(trunc(x * 2^decimal)); NaN, infinity and what
// is 2^31 steps or more are refused, and so are codes outside of the range.
using ModelInput = std::variant<std::span<const float>, std::span<const std::int8_t>,
                                std::span<const std::uint8_t>, std::span<const std::int32_t>>;
// Numbers are fl(code * 2^-decimal), + offset where there are any, in float32. Codes of 8 bits
// are for outputs of at most 8 bits.
using ModelOutput = std::variant<std::span<float>, std::span<std::int8_t>, std::span<std::int32_t>>;

class Model {
 public:
  // Reads a plan and makes its weights ready for the kernels.
  explicit Model(const std::filesystem::path& plan, const ModelOptions& options = {});
  // Of a plan in memory, which is copied. `name` is for messages.
  static Model copy(std::span<const std::byte> plan, const ModelOptions& options = {},
                    const std::string& name = "plan");
  // The same without a copy: the bytes begin at a multiple of INTRT_PLAN_ALIGNMENT and outlive the
  // model and its clones.
  static Model view(std::span<const std::byte> plan, const ModelOptions& options = {},
                    const std::string& name = "plan");

  ~Model();
  Model(Model&&) noexcept;
  Model& operator=(Model&&) noexcept;

  // Another one with working memory and threads of its own.
  Model clone() const;

  const std::string& name() const;     // the network's
  const std::string& kernels() const;  // the variant that runs
  int threads() const;
  std::span<const TensorInfo> inputs() const;
  std::span<const TensorInfo> outputs() const;
  std::span<const TensorInfo> layers() const;  // all tensors that are values of graph nodes
  std::span<const OperatorInfo> operators() const;

  // Runs one or many samples: as many as the first input holds. For a network of one input and one
  // output, or with a span for each, in the order of inputs() and outputs().
  void run(const ModelInput& input, const ModelOutput& output);
  void run(std::span<const ModelInput> inputs, std::span<const ModelOutput> outputs);

  // Is given the codes of each of layers() as soon as they are computed, in the order of its shape.
  // As long as there is an observer, run() computes the samples one after the other.
  using Observer = std::function<void(std::size_t sample, std::size_t layer,
                                      std::span<const std::int32_t> codes)>;
  void observe(Observer observer);  // empty: none any more

  // Runs one sample and returns how many seconds the network took, without quantizing its inputs.
  // `of_operators`, where it is not empty, has an element for the seconds of each of operators();
  // then the clock is read twice for each of them.
  double time(std::span<const ModelInput> inputs, std::span<double> of_operators = {});

 private:
  struct Shared;
  struct Working;
  explicit Model(std::shared_ptr<const Shared> shared);
  static Model own(std::vector<std::byte> plan, const ModelOptions& options,
                   const std::string& name);

  std::shared_ptr<const Shared> shared_;
  std::unique_ptr<Working> working_;
};

}  // namespace lockstep
