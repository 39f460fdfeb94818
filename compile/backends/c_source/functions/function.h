// What the functions of all operators have in common: the op at hand, the text so far, and what
// happens to an accumulator on its way out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "compile/backends/c_source/c_text.h"
#include "compile/backends/c_source/functions.h"
#include "compile/backends/c_source/functions/scale_form.h"
#include "compile/ir/ir.h"

namespace lockstep::backends {

class Function {
 public:
  Function(CText& text, const ir::Program& program, std::size_t index, std::string_view prefix);

  // The call that runs a function made by open().
  FunctionCall call() const { return {name_, op_.inputs}; }

 protected:
  const ir::Value& in(std::size_t k = 0) const { return program_.values.at(op_.inputs.at(k)); }
  std::string_view in_type(std::size_t k = 0) const { return c_type(in(k).type()); }
  std::string_view out_type() const { return c_type(out_.type()); }

  // The name of the parameter for input k: "in", or "in0", "in1", ... where there are several.
  std::string in_name(std::size_t k = 0) const;

  // The head of the function, with one parameter per input.
  void open();

  // A constant array of the function, in the narrowest signed type that holds its elements. Returns
  // its name.
  std::string table(std::string_view suffix, const std::vector<std::int64_t>& elements);

  // The number itself where all elements are alike, else a table that the C expression `index`
  // reads.
  std::string constant(std::string_view suffix, const std::vector<std::int64_t>& elements,
                       std::string_view index);

  // ---- what happens to an accumulator (post.cpp) ----

  // The constants, and for a scale the function that applies it. Before open(). `accumulators`:
  // one for each channel, or none where they are not known. `starts`: where accumulators begin, one
  // for each channel; what the function wants to be added to them is added there.
  void post_constants(const ir::Post& post, const std::vector<ir::Accumulator>& accumulators = {},
                      std::vector<std::int64_t>* starts = nullptr);
  void mask_constants(const std::vector<std::uint8_t>& mask);
  // Whether post_value reads its `channel`: not when all channels are treated alike.
  // Only after post_constants.
  bool differs_by_channel(const ir::Post& post) const;
  // The C expression for output element `element` of channel `channel`, given its accumulator: of
  // at most 32 bits, or an int64_t where wide_ says so.
  std::string post_value(const ir::Post& post, const std::string& acc, const std::string& channel,
                         const std::string& element) const;
  // The same without the mask, still an int32_t.
  std::string unmasked_value(const ir::Post& post, const std::string& acc,
                             const std::string& channel) const;
  std::string keeps(const std::string& element) const;  // the mask's bit of an element
  std::string cast(const std::string& value) const;     // to the output's type

  CText& text_;
  const ir::Program& program_;
  const ir::Op& op_;
  const ir::Value& out_;
  std::string name_;
  bool wide_ = false;  // accumulators have 64 bits

 private:
  void scale_function(const ScaleForm& form);
  bool scale_by_channel_ = false;

  std::string keep_;  // the function that reads masks
};

}  // namespace lockstep::backends
