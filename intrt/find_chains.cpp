// Which operators of a plan run as chains, and in which memory: that of the tensors between them,
// of which only some rows are there at a time.
#include "intrt/prepared.h"

namespace {

using namespace intrt;

// Bytes of what goes from link to link for which a chain is worth it: less stays in a core's cache
// as it is. Of these, bytes that a part keeps. Rows of the last output at a time: below, what is
// done once for each band takes too long. Measured: docs/kernels.md.
constexpr uint64_t kWorthIt = 256 * 1024, kKept = 384 * 1024;
constexpr uint32_t kBandRows = 6;
// Parts compute some rows of the first link twice, as many as are under one row of the last. Each
// has so many times as many of its own.
constexpr uint32_t kRowsOfPart = 4, kMostParts = 64;
constexpr uint64_t kLineBytes = 64;

struct Range {
  uint64_t begin, end;

  bool overlaps(const Range& other) const { return begin < other.end && other.begin < end; }
};

Range range_of(const intrt_tensor_record& tensor) {
  return {tensor.arena_offset, tensor.arena_offset + extent_bytes(tensor)};
}

template <typename Window>
void set_window(ChainLink& link, const Window& window) {
  link.stride = window.stride_h;
  link.reach = window.dilation_h * (window.kernel_h - 1) + 1;
  link.padding = window.pad_top;
}

// For operators whose windows over the rows of their input are known here.
ChainLink link_of(const intrt_plan& plan, const PreparedHeader& header, uint32_t op) {
  ChainLink link = {};
  const intrt_op_record& record = op_record(plan, op);
  if (!header.is_prepared(op) ||
      (record.code != kOp_conv2d && record.code != kOp_max_pool2d && record.code != kOp_add))
    return link;
  const OpToPrepare call = to_prepare(plan, op);
  const FastKernel& fast = fast_kernel(plan, header, op);
  const uint64_t row_bytes =
      uint64_t{call.output.width} * call.output.channels * element_bytes(call.output.type);
  if (fast.row_slices == nullptr || row_bytes > UINT32_MAX) return link;
  const RowSlices slices = fast.row_slices(call);
  link.rows = slices.rows;
  link.slices = slices.slices;
  link.height = call.output.height;
  link.row_bytes = static_cast<uint32_t>(row_bytes);
  link.stride = link.reach = 1;
  if (record.code == kOp_conv2d) {
    const intrt_conv2d_params& p = params_of<intrt_conv2d_params>(record);
    set_window(link, p);
    // Taps and stacks are taken four rows at a time.
    link.read_behind = 3 * p.dilation_h;
  }
  if (record.code == kOp_max_pool2d) set_window(link, params_of<intrt_max_pool2d_params>(record));
  return link;
}

class Finder {
 public:
  Finder(const intrt_plan& plan, ChainLink* links, uint32_t* readers)
      : plan_(plan), links_(links), readers_(readers) {
    for (uint32_t op = 0; op < intrt_op_count(&plan); ++op) {
      const intrt_op_record& record = op_record(plan, op);
      for (uint32_t i = 0; i < record.input_count; ++i) ++readers_[input_index(plan, record, i)];
    }
    for (uint32_t i = 0; i < intrt_output_count(&plan); ++i) ++readers_[intrt_output(&plan, i)];
  }

  void find() {
    for (uint32_t op = 0; op < intrt_op_count(&plan_);) {
      uint32_t count = 1;
      while (count < kMostLinks && op + count < intrt_op_count(&plan_) && joins(op + count))
        ++count;
      while (count > 1 && !is_chain(op, count)) --count;
      op += count;
    }
  }

 private:
  const intrt_tensor_record& output(uint32_t op) const {
    return tensor_record(plan_, op_record(plan_, op).output);
  }

  // Whether it makes rows of what the operator before computed, and nobody else reads that. Notes
  // which input that is.
  bool joins(uint32_t op) {
    const uint32_t tensor = op_record(plan_, op - 1).output;
    ChainLink& link = links_[op];
    if (links_[op - 1].rows == 0 || link.rows == 0 || readers_[tensor] != 1) return false;
    const intrt_op_record& record = op_record(plan_, op);
    for (uint32_t i = 0; i < record.input_count; ++i)
      if (input_index(plan_, record, i) == tensor) {
        link.linked_input = i;
        return true;
      }
    return false;
  }

  // Calls f with where each tensor lies that the operators read from elsewhere.
  template <typename F>
  void for_each_input(uint32_t first, uint32_t count, const F& f) const {
    for (uint32_t k = 0; k < count; ++k) {
      const intrt_op_record& record = op_record(plan_, first + k);
      for (uint32_t i = 0; i < record.input_count; ++i)
        if (k == 0 || i != links_[first + k].linked_input)
          f(range_of(input_record(plan_, record, i)));
    }
  }

  // And with the output of the last.
  template <typename F>
  void for_each_needed(uint32_t first, uint32_t count, const F& f) const {
    for_each_input(first, count, f);
    f(range_of(output(first + count - 1)));
  }

  bool is_chain(uint32_t first, uint32_t count) {
    uint64_t between = 0;
    for (uint32_t k = 0; k + 1 < count; ++k) between += extent_bytes(output(first + k));
    if (between < kWorthIt) return false;
    // Inputs are read to the end, while the output is written.
    const Range result = range_of(output(first + count - 1));
    bool is_free = true;
    for_each_input(first, count, [&](const Range& input) { is_free &= !input.overlaps(result); });
    if (!is_free) return false;
    const Range memory = free_memory(first, count);
    return memory.end > memory.begin && set_bands(first, count, memory);
  }

  // The largest part of a place of a tensor between the links that no input and no output needs.
  // Nothing else lies there: that tensor or another of the chain's does, as long as the chain runs.
  Range free_memory(uint32_t first, uint32_t count) const {
    Range best = {0, 0};
    for (uint32_t k = 0; k + 1 < count; ++k) {
      const Range all = range_of(output(first + k));
      const auto try_from = [&](uint64_t begin) {
        Range gap = {begin, all.end};
        for_each_needed(first, count, [&](const Range& used) {
          if (used.overlaps({begin, begin + 1})) gap.end = begin;
          if (begin < used.begin && used.begin < gap.end) gap.end = used.begin;
        });
        if (gap.end > gap.begin && gap.end - gap.begin > best.end - best.begin) best = gap;
      };
      try_from(all.begin);
      for_each_needed(first, count, [&](const Range& used) {
        if (all.begin < used.end && used.end < all.end) try_from(used.end);
      });
    }
    best.begin = (best.begin + kLineBytes - 1) / kLineBytes * kLineBytes;
    return best;
  }

  // What a part takes with so many rows of the last output at a time; sets what is kept.
  //
  // Of n rows that a link computes at a time, the first begins a slice and the last ends one. Under
  // them are at most (n - 1) * stride + reach rows; or n * stride new ones, if they begin where
  // those before ended. The link before ends with a slice, and began with one: rows - 1 more each.
  // One that is not needed may be kept, too.
  uint64_t part_bytes(uint32_t first, uint32_t count, uint32_t band_rows) {
    uint64_t bytes = 0, rows = band_rows;
    for (uint32_t k = count - 1; k > 0; --k) {
      const ChainLink& next = links_[first + k];
      ChainLink& link = links_[first + k - 1];
      rows = (rows - 1) * next.stride + (next.reach > next.stride ? next.reach : next.stride) +
             2 * (link.rows - 1);
      if (rows > link.height) rows = link.height;
      link.kept_rows = static_cast<uint32_t>(rows + 1);
      link.kept_offset = static_cast<uint32_t>(bytes);
      const uint64_t size = (rows + 1 + next.read_behind) * link.row_bytes;
      bytes += (size + kLineBytes - 1) / kLineBytes * kLineBytes;
      if (bytes > UINT32_MAX) return UINT64_MAX;
    }
    return bytes;
  }

  // As many rows at a time as keep no more than kKept, and leave memory for two parts.
  bool set_bands(uint32_t first, uint32_t count, const Range& memory) {
    const ChainLink& last = links_[first + count - 1];
    const uint64_t room = memory.end - memory.begin, most = room / 2 < kKept ? room / 2 : kKept;
    uint32_t few = 0, many = (last.height + last.rows - 1) / last.rows + 1;  // in slices
    while (many - few > 1) {
      const uint32_t middle = few + (many - few) / 2;
      (part_bytes(first, count, middle * last.rows) <= most ? few : many) = middle;
    }
    if (few * last.rows < kBandRows) return false;
    ChainLink& chain = links_[first];
    const uint64_t bytes = part_bytes(first, count, few * last.rows);
    chain.links = count;
    chain.band_rows = few * last.rows;
    chain.arena_offset = static_cast<uint32_t>(memory.begin);
    chain.part_bytes = static_cast<uint32_t>(bytes);
    // Rows of the first output under one of the last.
    uint64_t under = 1;
    for (uint32_t k = count - 1; k > 0; --k)
      under = (under - 1) * links_[first + k].stride + links_[first + k].reach;
    // Counted, since not every core can divide 64 bits.
    for (uint32_t parts = 1; parts <= kMostParts && parts * bytes <= room &&
                             parts * kRowsOfPart * under <= chain.height;
         ++parts)
      chain.most_parts = parts;
    return true;
  }

  const intrt_plan& plan_;
  ChainLink* links_;
  uint32_t* readers_;  // of each tensor
};

}  // namespace

size_t intrt::chain_bytes(const intrt_plan& plan) {
  return sizeof(ChainLink) * intrt_op_count(&plan) + sizeof(uint32_t) * intrt_tensor_count(&plan);
}

void intrt::find_chains(const intrt_plan& plan, const PreparedHeader& header, ChainLink* links) {
  const uint32_t count = intrt_op_count(&plan);
  for (uint32_t op = 0; op < count; ++op) links[op] = link_of(plan, header, op);
  Finder(plan, links, static_cast<uint32_t*>(static_cast<void*>(links + count))).find();
}
