// What convolutions and linear layers share. Include the variant's vector.h or wide.h before.
//
// A band of input rows is copied with its padding to the stack, in the form in which the variant
// multiplies; where it has that form already, it is read in place. Weights are prepared: for kLanes
// outputs at a time, kDepth weights of each, which one instruction multiplies with as many codes.
#pragma once

#include "intrt/kernels/vector/register_codes.h"
#include "intrt/kernels/vector/weights.h"

namespace intrt {
namespace {

// Of the copied rows; a convolution of which not even one window fits is left to other kernels.
constexpr size_t kBandCodes = 48 * 1024 / sizeof(Code);

// Sums of up to so many windows are put aside before they are brought to codes.
constexpr size_t kWindowsAside = 128;

// Calls f with the input's codes. Those of 16 bits go with weights of 16 bits.
template <typename F>
inline void with_input(const OpToRun& op, const F& f) {
  if constexpr (sizeof(Weight) == 2)
    with_codes(op.input_data, op.input.type, f);
  else
    f(static_cast<const int8_t*>(op.input_data));
}

template <typename X>
inline void copy_codes(Code* to, const X* from, size_t count, uint32_t offset) {
  for (size_t i = 0; i < count; ++i) to[i] = static_cast<Code>(from[i] + static_cast<Code>(offset));
}
// Codes 0.
inline void fill_codes(Code* to, size_t count, uint32_t offset) {
  for (size_t i = 0; i < count; ++i) to[i] = static_cast<Code>(offset);
}

// Input rows y0 .. and columns x0 .. under a number of windows, those outside the input 0. Rows of
// `to` lie row_codes apart; behind each is 0 as far as the last step of its last window reads.
template <typename X>
inline void copy_band(const Sizes& s, const X* input, ptrdiff_t y0, size_t rows, ptrdiff_t x0,
                      size_t columns, size_t row_codes, uint32_t offset, Code* to) {
  const ColumnParts parts(x0, columns, s.width);
  const size_t before = parts.before * s.channels, inside = parts.inside * s.channels;
  const size_t all = columns * s.channels;
  for (size_t r = 0; r < rows; ++r, to += row_codes) {
    fill_codes(to + all, kDepth, offset);
    const ptrdiff_t y = y0 + static_cast<ptrdiff_t>(r);
    if (y < 0 || y >= static_cast<ptrdiff_t>(s.height) || inside == 0) {
      fill_codes(to, all, offset);
      continue;
    }
    fill_codes(to, before, offset);
    copy_codes(to + before, input + (static_cast<size_t>(y) * s.width + parts.first) * s.channels,
               inside, offset);
    fill_codes(to + before + inside, parts.after * s.channels, offset);
  }
}

inline size_t blocks_at_once(const Sizes& s, size_t outputs_left) {
  const size_t blocks = (outputs_left + kLanes - 1) / kLanes;
  return blocks >= 4 && s.output_width <= kFourBlocksUpTo ? 4 : blocks >= 2 ? 2 : 1;
}

// The most windows of a tile whose steps share no sums. Pairs of sums need two more registers.
constexpr int most_alone(size_t v) {
  return v == 1   ? kMostWindowsOf1
         : v == 2 ? kMostWindowsOf2 - (kSumsPairs ? 1 : 0)
                  : kMostWindowsOf4 / (kSumsPairs ? 2 : 1);
}
// The same where they do: sums of 16 bits take as many registers as those of 32.
constexpr int most_sharing(size_t v) {
  return kSumsPairs && v < 4 ? (v == 1 ? kMostWindowsOf1 : kMostWindowsOf2) / 2 : most_alone(v);
}

// Where a row's tiles have one window.
inline size_t register_codes_bytes(const Sizes& s, size_t v) {
  const bool has_one = s.output_width == 1 || (v == 4 && most_alone(4) == 1);
  return has_one ? sizeof(PostLanes::RegisterCodes) : 0;
}
inline void put_register_codes(const PostLanes* posts, size_t v, void* to) {
  new (to) PostLanes::RegisterCodes(posts, v);
}
inline const PostLanes::RegisterCodes& register_codes(const void* at) {
  return *static_cast<const PostLanes::RegisterCodes*>(at);
}

// Whether all that windows read lies in the input as in a band: none of them reaches outside, and
// pieces are whole steps of codes that go without an offset.
inline bool is_read_in_place(const OpToPrepare& op, const Sizes& s) {
  const auto ends_within = [](size_t under_windows, ptrdiff_t padding, size_t size) {
    return padding <= 0 && under_windows + static_cast<size_t>(-padding) <= size;
  };
  return sizeof(Code) == 1 && code_offset(op.input_never_negative) == 0 &&
         ends_within(s.rows_under(s.output_height), s.top, s.height) &&
         ends_within(s.columns_under(s.output_width), s.left, s.width) &&
         Pieces(s, 0).length % kDepth == 0;
}

// Prepared memory begins with this; then come the blocks.
struct alignas(kBlockAlignment) DenseHeader {
  size_t row_codes;  // rows of a band lie so far apart, in a narrow one, too
  BandSize band;
  uint32_t code_offset;
  bool in_place;

  DenseHeader(const OpToPrepare& op, const Sizes& s)
      : band(band_size(s, kBandCodes, s.channels)),
        code_offset(intrt::code_offset(op.input_never_negative)),
        in_place(is_read_in_place(op, s)) {
    row_codes = (in_place ? s.width : s.columns_under(band.columns)) * s.channels;
  }
  // Into memory that was set to 0, so that what lies between the members is 0, too.
  static void* operator new(size_t, void* place) noexcept { return place; }

  Pieces pieces(const Sizes& s) const {
    Pieces pieces(s, row_codes);
    pieces.are_listed = pieces.rows * pieces.taps > 1;
    return pieces;
  }
};

template <typename Stored>
inline size_t dense_bytes(const OpToPrepare& op, const intrt_post_record& post, const Sizes& s,
                          const Stored& stored) {
  return sizeof(DenseHeader) +
         BlocksBytes(s, post, stored, code_offset(op.input_never_negative)).all();
}
template <typename Stored>
inline void prepare_dense(const OpToPrepare& op, const intrt_post_record& post, const Sizes& s,
                          const Stored& stored, const int32_t* bias, void* to) {
  DenseHeader& header = *new (to) DenseHeader(op, s);
  prepare_blocks(op, post, s, header.pieces(s), stored, bias, header.code_offset, &header + 1);
}

// What the tiles of V blocks of outputs have in common.
template <int V>
struct TileSet {
  size_t window_step;
  const BlockHeader& block;
  size_t step;  // from the codes of a window to those of the next
};

template <int P, int V>
inline void add_step(const Code* codes, size_t window_step, const Weight* w, Vector (&acc)[P][V]) {
  decltype(load_weights(w)) weights[V];
  _Pragma("GCC unroll 16") for (int v = 0; v < V; ++v) weights[v] =
      load_weights(w + static_cast<size_t>(v) * kVectorCodes);
  _Pragma("GCC unroll 16") for (int p = 0; p < P; ++p) {
    const auto code = broadcast_codes(codes + static_cast<size_t>(p) * window_step);
    _Pragma("GCC unroll 16") for (int v = 0; v < V; ++v) acc[p][v] =
        dot(acc[p][v], code, weights[v]);
  }
}

// The same of N steps, which share sums of 16 bits. place(i): where the codes of step i lie.
template <int N, int P, int V, typename Place>
inline void add_sharing_steps(const Code* codes, size_t window_step, const Place& place,
                              const Weight* w, Vector (&acc)[P][V]) {
  Vector sums[P][V];
  _Pragma("GCC unroll 8") for (size_t i = 0; i < N; ++i) {
    Vector weights[V];
    _Pragma("GCC unroll 16") for (size_t v = 0; v < V; ++v) weights[v] =
        load_weights(w + (i * V + v) * kVectorCodes);
    _Pragma("GCC unroll 16") for (int p = 0; p < P; ++p) {
      const Vector code = broadcast_codes(codes + static_cast<size_t>(p) * window_step + place(i));
      _Pragma("GCC unroll 16") for (int v = 0; v < V; ++v) {
        const Vector products = pair_sums(code, weights[v]);
        Vector sum = i == 0 ? products : add_pair_sums(sums[p][v], products);
        in_register(sum);
        sums[p][v] = sum;
      }
    }
  }
  _Pragma("GCC unroll 16") for (int p = 0; p < P; ++p)
      _Pragma("GCC unroll 16") for (int v = 0; v < V; ++v) acc[p][v] =
          add_up(acc[p][v], sums[p][v]);
}

// Where the codes of steps lie: as a list says, or side by side.
struct ListedPlaces {
  const uint32_t* list;
  size_t operator()(size_t step) const { return list[step]; }
};
struct PlacesInOrder {
  size_t operator()(size_t step) const { return step * kDepth; }
};

// The steps of a set of blocks.
struct StepsToAdd {
  const BlockHeader& block;
  ListedPlaces places;  // where they are listed
  const Weight* weights;
  size_t window_step;
};

// N of them, from the step `i` on, whose weights begin at `w`.
template <int N, typename Place, int P, int V>
inline void add_group(const StepsToAdd& steps, size_t& i, const Weight*& w, const Place& place,
                      const Code* codes, Vector (&acc)[P][V]) {
  add_sharing_steps<N>(
      codes, steps.window_step, [&](size_t n) { return place(i + n); }, w, acc);
  i += N;
  w += N * V * kVectorCodes;
}
// All from `i` on.
template <typename Place, int P, int V>
inline void add_alone(const StepsToAdd& steps, size_t i, const Weight* w, const Place& place,
                      const Code* codes, Vector (&acc)[P][V]) {
  for (; i < steps.block.steps; ++i, w += V * kVectorCodes)
    add_step<P, V>(codes + place(i), steps.window_step, w, acc);
}

// How steps share sums, as far as functions are compiled for that: each is alone; or, in order, N
// share theirs, kGroups times or, if 0, as often as there are so many; or they are listed, group by
// group. kGroups is for windows of few steps, of which a loop would take a good part of the time.
struct Alone {};
template <int N, int kGroups = 0>
struct GroupsInOrder {};
struct ListedGroups {};

template <int P, int V>
inline void add_steps(Alone, const StepsToAdd& steps, const Code* codes, Vector (&acc)[P][V]) {
  if (steps.block.has_list != 0)
    add_alone(steps, 0, steps.weights, steps.places, codes, acc);
  else
    add_alone(steps, 0, steps.weights, PlacesInOrder(), codes, acc);
}

template <int N, int kGroups, int P, int V>
inline void add_steps(GroupsInOrder<N, kGroups>, const StepsToAdd& steps, const Code* codes,
                      Vector (&acc)[P][V]) {
  size_t i = 0;
  const Weight* w = steps.weights;
  if constexpr (kGroups != 0) {
    _Pragma("GCC unroll 4") for (int group = 0; group < kGroups; ++group)
        add_group<N>(steps, i, w, PlacesInOrder(), codes, acc);
  } else {
    do add_group<N>(steps, i, w, PlacesInOrder(), codes, acc);
    while (i + N <= steps.block.steps);
    add_alone(steps, i, w, PlacesInOrder(), codes, acc);
  }
}

template <int P, int V>
inline void add_steps(ListedGroups, const StepsToAdd& steps, const Code* codes,
                      Vector (&acc)[P][V]) {
  size_t i = 0;
  const Weight* w = steps.weights;
  const auto add_groups = [&](auto size, uint32_t count) {
    for (; count > 0; --count) add_group<size.value>(steps, i, w, steps.places, codes, acc);
  };
  add_groups(Constant<8>(), steps.block.groups.of_8);
  add_groups(Constant<6>(), steps.block.groups.of_6);
  add_groups(Constant<4>(), steps.block.groups.of_4);
  add_groups(Constant<2>(), steps.block.groups.of_2);
  add_alone(steps, i, w, steps.places, codes, acc);
}

// `count` times P windows: the sums of all blocks for the first window, then for the next; or, if P
// is 1 and `codes` not null, their codes.
template <typename Sharing, int P, int V>
void run_tiles(const TileSet<V>& set, const Code* window, size_t count, int8_t* codes,
               int32_t* sums) {
  const BlockHeader& block = set.block;
  const int32_t* const biases = block.biases();
  const StepsToAdd steps = {block, {block.places()}, block.weights(), set.window_step};
  for (; count > 0; --count, window += P * set.window_step) {
    Vector acc[P][V];
    _Pragma("GCC unroll 16") for (int v = 0; v < V; ++v) {
      const Vector bias = load(biases + static_cast<size_t>(v) * kLanes);
      _Pragma("GCC unroll 16") for (int p = 0; p < P; ++p) acc[p][v] = bias;
    }
    add_steps(Sharing(), steps, window, acc);
    if constexpr (P == 1)
      if (codes != nullptr) {
        register_codes(&block + 1).store(codes, acc[0]);
        codes += set.step;
        continue;
      }
    _Pragma("GCC unroll 16") for (int p = 0; p < P; ++p)
        _Pragma("GCC unroll 16") for (int v = 0; v < V; ++v)
            store(sums + static_cast<size_t>(p * V + v) * kLanes, acc[p][v]);
    sums += P * V * kLanes;
  }
}

template <int V>
using TileFunction = void (*)(const TileSet<V>& set, const Code* window, size_t count,
                              int8_t* codes, int32_t* sums);
template <int P, int V>
inline TileFunction<V> function_in_order(const BlockHeader& block) {
  switch (block.in_order) {
    case 8:
      return run_tiles<GroupsInOrder<8>, P, V>;
    case 6:
      return run_tiles<GroupsInOrder<6>, P, V>;
    case 4:
      return run_tiles<GroupsInOrder<4>, P, V>;
    case 3:
      return block.steps == 6 ? run_tiles<GroupsInOrder<3, 2>, P, V>
                              : run_tiles<GroupsInOrder<3>, P, V>;
    default:
      return block.steps == 2   ? run_tiles<GroupsInOrder<2, 1>, P, V>
             : block.steps == 4 ? run_tiles<GroupsInOrder<2, 2>, P, V>
                                : run_tiles<GroupsInOrder<2>, P, V>;
  }
}
template <int P, int V>
inline TileFunction<V> function_for(const BlockHeader& block) {
  if constexpr (kSumsPairs && P <= most_sharing(V)) {
    if (block.in_order > 1) return function_in_order<P, V>(block);
    if (block.groups.any()) return run_tiles<ListedGroups, P, V>;
  }
  return run_tiles<Alone, P, V>;
}
// For 1 .. P windows.
template <int P, int V>
inline TileFunction<V> function_of(size_t windows, const BlockHeader& block) {
  if constexpr (P > 1)
    if (windows < P) return function_of<P - 1, V>(windows, block);
  return function_for<P, V>(block);
}

// Tiles of one size.
template <int V>
struct Tiles {
  size_t windows, count;
  size_t at_once;  // so many tiles' sums are put aside
  TileFunction<V> run;
};

// A row of windows in tiles of about one size: some have one more window than the others.
template <int V>
struct Tiling {
  // Of a row with four blocks at once there may be fewer.
  static constexpr size_t kAside =
      V == 4 && kFourBlocksUpTo < kWindowsAside ? kFourBlocksUpTo : kWindowsAside;
  static_assert(most_alone(V) <= kAside, "there is room for a tile's sums");
  Tiles<V> sizes[2];
  size_t windows;
  bool is_short;  // all sums are put aside

  Tiling(size_t of_row, const BlockHeader& block)
      : sizes{}, windows(of_row), is_short(windows <= kAside) {
    const size_t in_tile = block.shares() ? most_sharing(V) : most_alone(V);
    if (windows <= in_tile) {
      sizes[0] = {windows, 1, 1, function_of<most_alone(V), V>(windows, block)};
      return;
    }
    const size_t tiles = (windows + in_tile - 1) / in_tile, most = (windows + tiles - 1) / tiles,
                 smaller = most * tiles - windows;
    sizes[0] = tiles_of(most, tiles - smaller, block);
    sizes[1] = tiles_of(most - 1, smaller, block);
  }

 private:
  static Tiles<V> tiles_of(size_t in_tile, size_t count, const BlockHeader& block) {
    if (count == 0) return {};
    return {in_tile, count, kAside / in_tile, function_of<most_alone(V), V>(in_tile, block)};
  }
};

// Sums of windows that are put aside before they become codes, which takes less time for many
// together: of one row, or of several whose outputs lie as far apart as those of a row.
template <int V>
class SumsAside {
 public:
  static constexpr size_t kMost = Tiling<V>::kAside;

  SumsAside(const TileSet<V>& set, const Target& target) : set_(set), target_(target) {}

  // Makes room for so many windows, whose codes go to the elements from `element` on; what is put
  // aside already becomes codes where these do not follow it, or do not fit.
  void begin_row(size_t element, size_t windows) {
    if (count_ > 0 && (element != element_ + count_ * set_.step || windows > kMost - count_))
      store();
    if (count_ == 0) element_ = element;
  }
  int32_t* begin() { return sums_ + count_ * V * kLanes; }
  void add(size_t windows) { count_ += windows; }
  void store() {
    if (count_ == 0) return;
    PostLanes::store_blocks<V>(set_.block.posts(), target_, sums_, count_, element_, set_.step);
    element_ += count_ * set_.step;
    count_ = 0;
  }

 private:
  const TileSet<V>& set_;
  const Target& target_;
  size_t element_ = 0, count_ = 0;
  int32_t sums_[kMost * V * kLanes];
};

// A row of windows for V blocks. Codes go to the elements from `element` on.
template <int V>
inline void run_row(const TileSet<V>& set, const Tiling<V>& tiling, const Code* window,
                    size_t element, SumsAside<V>& aside) {
  aside.begin_row(element, tiling.is_short ? tiling.windows : aside.kMost);
  for (const Tiles<V>& tiles : tiling.sizes)
    for (size_t left = tiles.count; left > 0;) {
      const size_t count = left < tiles.at_once ? left : tiles.at_once;
      tiles.run(set, window, count, nullptr, aside.begin());
      const size_t windows = count * tiles.windows;
      window += windows * set.window_step;
      aside.add(windows);
      left -= count;
      if (!tiling.is_short) aside.store();
    }
}

// A convolution that was prepared, and where its outputs go: which element the first is, and from
// one row and one column to the next so many.
struct Dense {
  const Sizes& s;
  const DenseHeader& header;
  size_t first, row_step, column_step;
};

// rows x columns windows that begin at output (oy, ox), with the input under them.
struct Band {
  const Code* codes;
  size_t row_codes, oy, rows, ox, columns;
};

// Outputs of the windows of one band: those of V blocks from `channel` on, `left` of them in the
// group g.
template <int V>
inline void run_blocks(const Target& target, const Dense& dense, const Band& band, size_t g,
                       size_t left, const BlockHeader* header) {
  const Sizes& s = dense.s;
  const size_t channel = (g + 1) * s.group_outputs - left;
  const Tiling<V> tiling(band.columns, *header);
  const TileSet<V> set = {s.stride_w * s.channels, *header, dense.column_step};
  const auto for_each_row = [&](const auto& f) {
    for (size_t r = 0; r < band.rows; ++r)
      f(band.codes + r * s.stride_h * band.row_codes + g * s.group_inputs,
        dense.first + (band.oy + r) * dense.row_step + band.ox * dense.column_step + channel);
  };
  // The sums of one window become codes in registers.
  const Tiles<V>& most = tiling.sizes[0];
  if (most.windows == 1 && header->has_register_codes != 0 &&
      register_codes(header + 1).are_possible(target))
    return for_each_row([&](const Code* window, size_t element) {
      most.run(set, window, most.count, target.bytes() + element, nullptr);
    });
  SumsAside<V> aside(set, target);
  for_each_row(
      [&](const Code* window, size_t element) { run_row(set, tiling, window, element, aside); });
  aside.store();
}

// The outputs of `sets` of blocks, for the windows of one band.
inline void run_band(const Target& target, const Dense& dense, const Band& band,
                     const Extent& sets) {
  const Sizes& s = dense.s;
  const uint8_t* block = static_cast<const uint8_t*>(static_cast<const void*>(&dense.header + 1));
  size_t set = 0;
  for (size_t g = 0; g < s.groups; ++g)
    for (size_t left = s.group_outputs; left > 0 && set < sets.end; ++set) {
      const BlockHeader* header = static_cast<const BlockHeader*>(static_cast<const void*>(block));
      const size_t v = blocks_at_once(s, left);
      if (set >= sets.begin)
        (v == 1   ? run_blocks<1>
         : v == 2 ? run_blocks<2>
                  : run_blocks<4>)(target, dense, band, g, left, header);
      block += header->bytes;
      left = left > v * kLanes ? left - v * kLanes : 0;
    }
}

// Whether the bands of a dense convolution hold a window.
inline bool dense_fits(const Sizes& s) { return band_size(s, kBandCodes, s.channels).columns != 0; }

template <typename X>
inline void run_part(const X* input, const Target& target, const Dense& dense, const Part& part) {
  // A last piece is read in whole steps.
  alignas(kBlockAlignment) Code copied[kBandCodes + kDepth];
  const Sizes& s = dense.s;
  const DenseHeader& header = dense.header;
  for_each_band(part, header.band, [&](size_t oy, size_t rows, size_t ox, size_t columns) {
    const ptrdiff_t y = static_cast<ptrdiff_t>(oy * s.stride_h) - s.top,
                    x = static_cast<ptrdiff_t>(ox * s.stride_w) - s.left;
    const Code* codes = copied;
    if (header.in_place)
      codes = static_cast<const Code*>(static_cast<const void*>(
          input + static_cast<size_t>(y) * header.row_codes + static_cast<size_t>(x) * s.channels));
    else
      copy_band(s, input, y, s.rows_under(rows), x, s.columns_under(columns), header.row_codes,
                header.code_offset, copied);
    run_band(target, dense, {codes, header.row_codes, oy, rows, ox, columns}, part.sets);
  });
}

inline void run_dense(const OpToRun& op, const intrt_post_record& post, const Sizes& s) {
  const Target target(op, post);
  const size_t outputs = s.groups * s.group_outputs;
  const Dense dense = {s, *static_cast<const DenseHeader*>(op.prepared), 0,
                       s.output_width * outputs, outputs};
  with_input(op, [&](const auto* input) { run_part(input, target, dense, Part(s, op.slices)); });
}

}  // namespace
}  // namespace intrt
