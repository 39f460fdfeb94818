// The products of one output element of a convolution, a transposed convolution or a linear layer,
// from the weights of the state dict.
#pragma once

#include <span>
#include <string>

#include "compile/checkpoint/parameters.h"
#include "verify/proof/reach.h"
#include "verify/semantics/aligned.h"
#include "verify/semantics/linear_constants.h"

namespace lockstep::verify {

struct LinearElement {
  std::int64_t channel = 0;
  std::int64_t sum = 0;  // of the products and a quantized bias, on the grid `decimal`
  int decimal = 0;
  std::string text;
};

class LinearTerms {
 public:
  // Keeps references.
  LinearTerms(const Node& node, const NodeParameters& parameters, const LinearConstants& constants,
              const Format& input, const Format& output);

  // `codes`: of the input, of one sample; `element`: of the output, row-major.
  LinearElement element(std::span<const std::int64_t> codes, std::int64_t element) const;

 private:
  std::int64_t stored_index(std::int64_t output, std::int64_t k) const;
  int input_decimal(std::int64_t output, std::int64_t k) const;
  std::string bias_text(std::int64_t output, std::int64_t sum) const;

  const Node& node_;
  const NodeParameters& parameters_;
  const LinearConstants& constants_;
  const Format &input_, &output_;
  Aligned aligned_;
  std::vector<int> channel_decimals_;
  Reach reach_;
  std::int64_t taps_ = 1;
};

}  // namespace lockstep::verify
