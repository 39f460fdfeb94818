#include "verify/semantics/move.h"

#include <fmt/format.h>

#include <algorithm>

#include "compile/support/error.h"
#include "verify/semantics/aligned.h"
#include "verify/semantics/index.h"

namespace lockstep::verify {
namespace {

// Integers up to 2^24 are float32 numbers.
constexpr std::int64_t kFloat32Steps = std::int64_t{1} << 24;

class Move final : public ExactOperator {
 public:
  Move(const Node& node, Formats inputs, std::vector<std::int64_t> shape,
       std::vector<MovedElement> elements)
      : elements_(std::move(elements)) {
    format_.shape = std::move(shape);
    LOCKSTEP_ASSERT(static_cast<std::int64_t>(elements_.size()) == format_.element_count());
    const bool real = std::ranges::any_of(inputs, [](const Format* input) { return input->real; });
    for (const Format* const input : inputs)
      // Empty: the values travel as they are.
      enters_.push_back(real && !input->real ? input->decimals : std::vector<int>());
    if (real)
      move_sources(node, inputs);
    else
      move_codes(inputs);
  }

  void run(std::span<const Values> inputs, std::span<std::int64_t> output) const override {
    for (std::size_t i = 0; i < output.size(); ++i) {
      const MovedElement& from = elements_[i];
      if (from.zero) {
        output[i] = 0;  // also 0.0
        continue;
      }
      const std::int64_t value = inputs[from.input][at(from.element)];
      const std::vector<int>& decimals = enters_[from.input];
      output[i] = decimals.empty()
                      ? value
                      : real_to_bits(enter_float(
                            value, decimals[decimals.size() == 1 ? 0 : at(from.element)]));
    }
  }

  std::span<const MovedElement> moves() const override { return elements_; }

 private:
  void move_codes(Formats inputs) {
    for (const Format* const input : inputs) {
      if (input->bits == 0) {
        format_.bits = 0;
        break;
      }
      format_.bits = std::max(format_.bits, input->bits);
    }
    std::vector<CodeRange> ranges;
    for (const MovedElement& from : elements_) {
      format_.decimals.push_back(inputs[from.input]->decimal(from.element));
      ranges.push_back(from.zero ? CodeRange{} : inputs[from.input]->range(from.element));
    }
    if (std::ranges::all_of(format_.decimals,
                            [&](int decimal) { return decimal == format_.decimals[0]; }))
      format_.decimals.resize(1);
    set_ranges(format_, std::move(ranges));
  }

  void move_sources(const Node& node, Formats inputs) {
    format_.real = true;
    format_.decimals = {0};
    std::vector<Format> real;
    std::vector<std::vector<std::uint32_t>> bases, chains;  // by input: the indices here
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      require_float32_codes(node, *inputs[i], node.inputs[i]);
      real.push_back(as_real(*inputs[i], node.inputs[i], node.name));
      bases.emplace_back();
      for (const ExactBase& base : real[i].bases) bases[i].push_back(format_.add_base(base));
      chains.emplace_back();
      for (const FloatChain& chain : real[i].chains) chains[i].push_back(format_.add_chain(chain));
    }
    const std::uint32_t empty = format_.add_chain({});
    for (const MovedElement& from : elements_) {
      RealSource source = real[from.input].source(from.element);
      if (from.zero) {
        source = RealSource();
        source.chain = empty;
      } else {
        source.chain = chains[from.input][source.chain];
        if (source.has_base()) source.base = bases[from.input][source.base];
      }
      format_.sources.push_back(source);
    }
  }

  static void require_float32_codes(const Node& node, const Format& input,
                                    const std::string& name) {
    if (input.real || input.magnitude() <= kFloat32Steps) return;
    throw InputError(fmt::format(
        "layer '{}': its input '{}' has sums of up to {} steps, more than the 2^24 that "
        "float32 holds exactly, and another input is a float32 number; put a quantize "
        "node before this layer",
        node.name, name, input.magnitude()));
  }

  std::vector<MovedElement> elements_;
  std::vector<std::vector<int>> enters_;  // by input: its decimals, where codes become float32
};

}  // namespace

OperatorPointer make_move(const Node& node, Formats inputs, std::vector<std::int64_t> shape,
                          std::vector<MovedElement> elements) {
  return std::make_unique<Move>(node, inputs, std::move(shape), std::move(elements));
}

std::vector<std::int64_t> places_of(std::int64_t element, std::span<const std::int64_t> shape) {
  std::vector<std::int64_t> places(shape.size());
  for (std::size_t d = shape.size(); d-- > 0;) {
    places[d] = element % shape[d];
    element /= shape[d];
  }
  return places;
}

std::int64_t element_at(std::span<const std::int64_t> places, std::span<const std::int64_t> shape) {
  std::int64_t element = 0;
  for (std::size_t d = 0; d < shape.size(); ++d) element = element * shape[d] + places[d];
  return element;
}

std::size_t axis_of(const Node& node, std::string_view name, std::span<const std::int64_t> shape) {
  const std::int64_t axis = node.integer(name);
  if (axis < 1 || axis > static_cast<std::int64_t>(shape.size()))
    throw InputError(
        fmt::format("layer '{}': {} = {}, but an input of shape {} (without batch) has "
                    "axes 1 to {}",
                    node.name, name, axis, shape_text(shape), shape.size()));
  return static_cast<std::size_t>(axis - 1);
}

}  // namespace lockstep::verify
