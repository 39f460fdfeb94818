#include "verify/probes/op_runner.h"

#include <algorithm>

#include "verify/semantics/index.h"
#include "verify/semantics/rounding.h"

namespace lockstep::verify {
namespace {

// The element that meets `place` of the output in an input that may have size 1 along an axis.
std::size_t broadcast(const VisibleTensor& input, const Place& place) {
  const std::int64_t c = input.channels == 1 ? 0 : place.channel;
  const std::int64_t y = input.height == 1 ? 0 : place.y, x = input.width == 1 ? 0 : place.x;
  return at((c * input.height + y) * input.width + x);
}

}  // namespace

OpRunner::OpRunner(PlanOp op, const std::vector<VisibleTensor>& tensors) : op_(std::move(op)) {
  for (const std::uint32_t input : op_.inputs) inputs_.push_back(tensors[input]);
  output_ = tensors[op_.output];
  if (op_.code == PlanOp::kTable) {
    const std::int64_t first =
        inputs_[0].bytes ? 0 : lowest_code(static_cast<int>(inputs_[0].bits));
    for (const std::size_t table : op_.table.table_of)
      functions_.push_back(PlanFunction::table(op_.table.entries[table], first));
  } else if (op_.post.kind != INTRT_POST_NONE) {
    for (std::int64_t c = 0; c < output_.channels; ++c)
      functions_.push_back(PlanFunction::post(op_.post, c));
  }
  if (!op_.is_weighted() || op_.code == PlanOp::kLinear) return;
  reach_ = reach_of(op_, inputs_[0], output_);
  products_.resize(at(op_.window.kernel_h * op_.window.kernel_w));
  const std::int64_t plane = std::int64_t{output_.height} * output_.width;
  const std::int64_t in_plane = std::int64_t{inputs_[0].height} * inputs_[0].width;
  const std::int64_t taps = static_cast<std::int64_t>(products_.size());
  for (std::int64_t position = 0; position < plane; ++position)
    reach_.each(0, position, [&](std::int64_t k, std::int64_t element) {
      if (k < taps) products_[at(k)].push_back({position, element % in_plane});
    });
}

std::vector<std::int64_t> OpRunner::run(std::span<const std::vector<std::int64_t>> codes) const {
  const auto input = [&](std::size_t i) -> const Codes& { return codes[op_.inputs[i]]; };
  Codes result;
  switch (op_.code) {
    case PlanOp::kConv2d:
    case PlanOp::kConvTranspose2d:
    case PlanOp::kLinear:
      result = sums(input(0));
      break;
    case PlanOp::kMaxPool2d:
      result = largest(input(0));
      break;
    case PlanOp::kAvgPool2d:
      result = means(input(0));
      break;
    case PlanOp::kAdd:
    case PlanOp::kMul:
      result = combined(input(0), input(1));
      break;
    case PlanOp::kMove:
      result = moved(codes);
      break;
    case PlanOp::kArgMax:
      result = first_largest(input(0));
      break;
    default:
      result = input(0);
  }
  finish(result);
  return result;
}

OpRunner::Codes OpRunner::sums(const Codes& input) const {
  Codes result(at(output_.element_count()));
  const std::int64_t plane = std::int64_t{output_.height} * output_.width;
  if (op_.code == PlanOp::kLinear) {
    const std::size_t fan_in = input.size();
    for (std::size_t o = 0; o < result.size(); ++o) {
      std::int64_t sum = op_.bias.empty() ? 0 : op_.bias[o];
      for (std::size_t k = 0; k < fan_in; ++k)
        sum +=
            input[k] *
            op_.weights[o * fan_in + at(physical_index(inputs_[0], static_cast<std::int64_t>(k)))];
      result[o] = sum;
    }
    return result;
  }
  const std::int64_t in_plane = std::int64_t{inputs_[0].height} * inputs_[0].width;
  const std::int64_t taps = static_cast<std::int64_t>(products_.size());
  for (std::int64_t o = 0; o < output_.channels; ++o) {
    std::int64_t* out = result.data() + o * plane;
    std::fill(out, out + plane, op_.bias.empty() ? 0 : op_.bias[at(o)]);
    const std::int64_t first = o / reach_.group_outputs * reach_.group_inputs;
    for (std::int64_t k = 0; k < reach_.fan_in; ++k) {
      const std::int64_t weight = op_.weights[at(weight_index(op_, inputs_[0], o, k))];
      if (weight == 0) continue;
      const std::int64_t* in = input.data() + (first + k / taps) * in_plane;
      for (const Product& product : products_[at(k % taps)])
        out[product.position] += weight * in[product.place];
    }
  }
  return result;
}

OpRunner::Codes OpRunner::largest(const Codes& input) const {
  const VisibleTensor& in = inputs_[0];
  Codes result(at(output_.element_count()), INT64_MIN);
  for (std::int64_t e = 0; e < output_.element_count(); ++e) {
    const Place place = place_of(output_, e);
    for (std::int64_t ky = 0; ky < op_.window.kernel_h; ++ky)
      for (std::int64_t kx = 0; kx < op_.window.kernel_w; ++kx) {
        const std::int64_t y =
            place.y * op_.window.stride_h - op_.window.pad_top + ky * op_.window.dilation_h;
        const std::int64_t x =
            place.x * op_.window.stride_w - op_.window.pad_left + kx * op_.window.dilation_w;
        if (y < 0 || y >= in.height || x < 0 || x >= in.width) continue;
        result[at(e)] =
            std::max(result[at(e)], input[at((place.channel * in.height + y) * in.width + x)]);
      }
  }
  return result;
}

OpRunner::Codes OpRunner::means(const Codes& input) const {
  const VisibleTensor& in = inputs_[0];
  Codes result;
  for (std::int64_t e = 0; e < output_.element_count(); ++e) {
    const Place place = place_of(output_, e);
    const PlanSpan &rows = op_.rows[at(place.y)], &columns = op_.columns[at(place.x)];
    std::int64_t sum = 0;
    for (std::int64_t y = rows.begin; y < rows.end; ++y)
      for (std::int64_t x = columns.begin; x < columns.end; ++x)
        sum += input[at((place.channel * in.height + y) * in.width + x)];
    result.push_back(sum * rows.multiplier * columns.multiplier);
  }
  return result;
}

OpRunner::Codes OpRunner::combined(const Codes& a, const Codes& b) const {
  Codes result;
  for (std::int64_t e = 0; e < output_.element_count(); ++e) {
    const Place place = place_of(output_, e);
    const std::int64_t left = a[broadcast(inputs_[0], place)];
    const std::int64_t right = b[broadcast(inputs_[1], place)];
    const std::size_t c = at(place.channel);
    result.push_back(op_.code == PlanOp::kMul
                         ? left * right
                         : op_.multipliers[0][c] * left + op_.multipliers[1][c] * right);
  }
  return result;
}

OpRunner::Codes OpRunner::moved(std::span<const std::vector<std::int64_t>> codes) const {
  Codes result(at(output_.element_count()), 0);
  for (const PlanPiece& piece : op_.pieces)
    each_copy(piece, [&](std::int64_t from, std::int64_t to) {
      result[at(logical_index(output_, to))] =
          codes[op_.inputs[piece.input]][at(logical_index(inputs_[piece.input], from))];
    });
  return result;
}

OpRunner::Codes OpRunner::first_largest(const Codes& input) const {
  const std::size_t plane = at(output_.element_count());
  Codes result(plane, 0);
  for (std::size_t position = 0; position < plane; ++position)
    for (std::size_t c = 1; c < inputs_[0].channels; ++c)
      if (input[c * plane + position] > input[at(result[position]) * plane + position])
        result[position] = static_cast<std::int64_t>(c);
  return result;
}

void OpRunner::finish(Codes& codes) const {
  for (std::int64_t e = 0; e < output_.element_count(); ++e) {
    std::int64_t& code = codes[at(e)];
    if (!functions_.empty()) code = functions_[at(place_of(output_, e).channel)].apply(code);
    if (!op_.post.keep.empty() && op_.post.keep[at(physical_index(output_, e))] == 0) code = 0;
  }
}

}  // namespace lockstep::verify
