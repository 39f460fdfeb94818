/* The bytes of a plan, version 3. docs/plan-format.md says the same in prose.
 *
 * Little endian; every offset counts bytes from the start of the plan; 0 means "none" where that is
 * allowed. Records are 4-byte aligned, weights and biases 16-byte aligned. The plan itself must lie
 * at a 16-byte aligned address. Nothing is ever written to it, so it may lie in flash.
 *
 * Each tensor is an input or the output of exactly one operator, and is not written over while it
 * is still to be read; docs/plan-format.md lists all that intrt_open checks.
 *
 * Feature maps are stored HWC (channel fastest), although graph.json and PyTorch speak of (C,H,W).
 * A flattened tensor keeps the physical H, W, C of what was flattened; `logical_rank` 1 says that
 * its logical order is that of PyTorch's flatten, (C,H,W) row-major. The batch is the caller's
 * loop. */
#ifndef INTRT_PLAN_FORMAT_H_
#define INTRT_PLAN_FORMAT_H_

#include <stdint.h>

#define INTRT_PLAN_MAGIC "LOCKSTEP"
#define INTRT_PLAN_VERSION 3u
#define INTRT_PLAN_ALIGNMENT 16u
#define INTRT_ARENA_ALIGNMENT 16u

/* Sanity limits; a plan beyond them is refused. */
#define INTRT_MAX_DIM 65536u   /* of any one dimension, kernel, stride, padding, dilation */
#define INTRT_MAX_COUNT 65536u /* of tensors, of operators */

typedef struct {
  uint8_t magic[8]; /* INTRT_PLAN_MAGIC without the NUL */
  uint32_t version;
  uint32_t total_bytes;                  /* of the whole plan; exactly the bytes given */
  uint32_t crc32;                        /* zlib's CRC-32 of the whole plan with this field 0 */
  uint32_t arena_bytes;                  /* multiple of INTRT_ARENA_ALIGNMENT */
  uint32_t name_offset;                  /* NUL-terminated UTF-8: the network */
  uint32_t tensor_count, tensors_offset; /* intrt_tensor_record[] */
  uint32_t op_count, ops_offset; /* uint32_t[]: offsets of the op records, in execution order */
  uint32_t input_count, inputs_offset;   /* uint32_t[]: tensor indices */
  uint32_t output_count, outputs_offset; /* uint32_t[]: tensor indices */
  uint32_t reserved;                     /* 0 */
} intrt_plan_header;

/* Element types of tensors and weights. */
#define INTRT_INT8 1u
#define INTRT_INT16 2u
#define INTRT_INT32 3u
/* Weights of type INTRT_INT32 go with accumulators of 64 bits: |acc| <= 2^62, and a post-op of kind
 * SHIFT with shifts 0..INTRT_WIDE_SHIFT_MAX. Other weights go with accumulators of 32 bits. */
#define INTRT_UINT8 4u /* raw bytes 0..255: an input of the network that only tables read */

/* intrt_tensor_record.flags */
#define INTRT_TENSOR_INPUT 1u
#define INTRT_TENSOR_OUTPUT 2u
#define INTRT_TENSOR_NAMED \
  4u /* holds exactly the value of the graph node `name`: its listed channels */

typedef struct {
  uint32_t name_offset; /* NUL-terminated UTF-8: the graph node or input whose value this is */
  uint32_t channels, height, width;
  uint32_t arena_offset;    /* multiple of 16 */
  uint32_t decimals_offset; /* int8_t[decimal_count]: value = code * 2^-decimal */
  uint32_t decimal_count;   /* 1, or channels */
  /* float[channels], 0: none. The tensor's values are fl(code * 2^-decimal) + offset, one float32
   * addition that the reader makes: the float bias of an output that nothing quantizes. Only on
   * outputs of type INTRT_INT32. The runtime never reads them. */
  uint32_t offsets_offset;
  /* uint16_t[channels], 0: all of them, in order. Which channel of the graph node each channel is:
   * what is not listed is dead or constant and is neither computed nor stored. All different. Not
   * on inputs or outputs of the network. The runtime never reads them. */
  uint32_t channel_map_offset;
  uint8_t type;         /* INTRT_INT8, ... */
  uint8_t bits;         /* codes lie in [-2^(bits-1), 2^(bits-1)-1]; INTRT_UINT8: 8, 0..255 */
  uint8_t logical_rank; /* 1: [C*H*W], 2: [C, L] with L = width, height = 1; 3: [C, H, W] */
  uint8_t flags;
} intrt_tensor_record;

/* What happens to an accumulator, or to a code, on its way out:
 *   kind NONE   out = acc                                     (type INTRT_INT32 only; mask allowed)
 *   kind SHIFT  out = intrt_requantize(acc, shift[c], rounding, lo, hi)
 *   kind SCALE  for each channel c: with steps (starts[c] < starts[c+1]), the code of the step that
 *               acc lies on: codes[starts[c] + c + n], n = how many of thresholds[starts[c]] ..
 *               thresholds[starts[c+1] - 1] are <= acc; without,
 *               out = intrt_scale(acc, multiplier[c], addend[c], shift[c], rounding, limits[c])
 * then, where a mask is given, out = keep ? out : 0. The mask has one bit per output element in
 * physical (HWC) order, bit i of byte i/8 counted from the least significant; 1 keeps. */
#define INTRT_POST_NONE 0u
#define INTRT_POST_SHIFT 1u
#define INTRT_POST_SCALE 2u

typedef struct {
  uint8_t kind;
  uint8_t rounding;       /* INTRT_ROUND_*; SCALE: TOWARD_ZERO or FLOOR */
  uint16_t reserved;      /* 0 */
  int32_t lo, hi;         /* SHIFT: lo <= hi, both in the output tensor's code range; else 0 */
  uint32_t shifts_offset; /* SHIFT: int8_t[shift_count], INTRT_SHIFT_MIN..INTRT_SHIFT_MAX;
                             SCALE: int8_t[channels], 0..INTRT_WIDE_SHIFT_MAX */
  uint32_t shift_count;   /* SHIFT: 1, or the output's channels; SCALE: channels; NONE: 0 */
  /* SCALE only, else 0: */
  uint32_t multipliers_offset; /* int32_t[channels] */
  uint32_t addends_offset;     /* int64_t[channels], magnitude below 2^62; 8-byte aligned */
  uint32_t limits_offset;      /* int16_t[channels][2]: lo <= hi in the output's code range */
  uint32_t starts_offset;      /* uint32_t[channels + 1], from 0, never falling; 0: no steps */
  uint32_t thresholds_offset;  /* int32_t[starts[channels]], rising within each channel */
  uint32_t codes_offset;       /* int16_t[starts[channels] + channels] in the output's code range;
                                  channel c has starts[c+1] - starts[c] + 1 from starts[c] + c */
  uint32_t mask_offset;        /* 0: no mask */
} intrt_post_record;

/* Starts every op record; the parameters of the operator follow at once. */
typedef struct {
  uint32_t code;          /* op_list.def */
  uint32_t record_bytes;  /* header and parameters */
  uint32_t name_offset;   /* the graph node that this operator computes (the first, when fused) */
  uint32_t output;        /* tensor index */
  uint32_t input_count;   /* 1; add and mul: 2; move: at least 1 */
  uint32_t inputs_offset; /* uint32_t[input_count]: tensor indices */
} intrt_op_record;

/* Input channels begin .. end - 1 of each group, where begin is the end of the segment before.
 * Before a segment's products are added, the sum so far is multiplied by 2^shift. */
typedef struct {
  uint32_t end;   /* rising; that of the last segment: input channels / groups */
  uint32_t shift; /* 0..30; of the first segment 0 */
} intrt_segment;

/* How conv2d and linear keep their weights.
 *   dense   (nonzero_offset 0): weights of all places, row by row.
 *   sparse  (nonzero_offset != 0): only weights whose bit is set, in the same order; those of row o
 *           are numbers starts[o] .. starts[o+1] - 1.
 *   segments (segment_count != 0): a weight w of a segment stands for w * 2^(sum of the shifts of
 *           all later segments). The bias is added last. Dense only; accumulators of 32 bits only.
 */

/* acc[o,y,x] = bias[o] + sum over i,ky,kx of in[g*I+i, y*sy - pt + ky*dy, x*sx - pl + kx*dx] *
 * w[o,ky,kx,i] with 0 outside the input; g = o / (O / groups), I = input channels / groups. */
typedef struct {
  uint32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
  uint32_t pad_top, pad_left, pad_bottom, pad_right;
  uint32_t groups;
  uint32_t weight_type;    /* INTRT_INT8, INTRT_INT16 or INTRT_INT32 */
  uint32_t weights_offset; /* [O][kernel_h][kernel_w][I]; see above */
  uint32_t bias_offset;    /* int32_t[O]; 0: none */
  uint32_t nonzero_offset; /* [O][kernel_h][kernel_w][ceil(I/8)] bytes: bit i%8 of byte i/8 says
                              that weight i is stored; 0: all are */
  uint32_t starts_offset;  /* uint32_t[O + 1], from 0; 0 where nonzero_offset is 0 */
  uint32_t segment_count;
  uint32_t segments_offset; /* intrt_segment[segment_count]; 0 where that is 0 */
  intrt_post_record post;
} intrt_conv2d_params;

/* acc[o,y,x] = bias[o] + sum over i,ky,kx of in[g*I+i, iy, ix] * w[o,ky,kx,i] for the iy, ix inside
 * the input with iy * stride_h = y + pad_top - ky * dilation_h and ix likewise: the transpose of a
 * convolution. The output may have any size; positions that no product reaches hold the bias. */
typedef struct {
  uint32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
  uint32_t pad_top, pad_left;
  uint32_t groups;
  uint32_t weight_type;    /* INTRT_INT8, INTRT_INT16 or INTRT_INT32 */
  uint32_t weights_offset; /* [O][kernel_h][kernel_w][I] */
  uint32_t bias_offset;    /* int32_t[O]; 0: none */
  intrt_post_record post;
} intrt_conv_transpose2d_params;

/* acc[o] = bias[o] + sum over k of in[k] * w[o,k], k in the physical order of the input. */
typedef struct {
  uint32_t weight_type;
  uint32_t weights_offset; /* [O][K]; see above */
  uint32_t bias_offset;    /* int32_t[O]; 0: none */
  uint32_t nonzero_offset; /* [O][ceil(K/8)] bytes, as of conv2d; 0: all are stored */
  uint32_t starts_offset;
  uint32_t segment_count; /* of input channels, at every place of the input */
  uint32_t segments_offset;
  intrt_post_record post;
} intrt_linear_params;

/* Largest code of each window; positions outside the input do not take part. Input and output have
 * the same type, bits and decimals. Every window holds at least one position inside. */
typedef struct {
  uint32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
  uint32_t pad_top, pad_left, pad_bottom, pad_right;
} intrt_max_pool2d_params;

/* acc[c,y,x] = multiplier_y * multiplier_x * sum of in[c] over rows begin_y .. end_y - 1 and
 * columns begin_x .. end_x - 1: the window of each output row and column is listed. The multipliers
 * bring windows of different sizes to one divisor, which the post-op divides by. */
typedef struct {
  uint32_t begin, end; /* begin < end <= input height or width */
  uint32_t multiplier; /* 1 .. 2^24 */
} intrt_pool_span;
typedef struct {
  uint32_t rows_offset;    /* intrt_pool_span[output height] */
  uint32_t columns_offset; /* intrt_pool_span[output width] */
  intrt_post_record post;
} intrt_avg_pool2d_params;

/* out = post(in), element by element: quantize of codes, relu (shift 0, lo 0), prune (shift 0,
 * mask). May work in place. */
typedef struct {
  intrt_post_record post;
} intrt_requantize_params;

/* acc = multiplier[0][c] * a + multiplier[1][c] * b, element by element. Along each of channels,
 * height and width an input has the output's size, or 1: then its element serves all. May work in
 * place on an input of the output's size. */
typedef struct {
  uint32_t multipliers_offset; /* int32_t[2][output channels] */
  intrt_post_record post;
} intrt_add_params;

/* acc = a * b, element by element; shapes as for add. May work in place likewise. */
typedef struct {
  intrt_post_record post;
} intrt_mul_params;

/* out = entries[table of c][in + 2^(bits-1)] (a byte of INTRT_UINT8: entries[...][in]), then the
 * mask. May work in place. */
typedef struct {
  uint32_t table_count;
  uint32_t tables_offset;  /* uint16_t[channels]: each channel's table; 0: all use table 0 */
  uint32_t entries_offset; /* [table_count][2^(input bits)] of the output's type, INT8 or INT16 */
  uint32_t mask_offset;    /* as in intrt_post_record */
} intrt_table_params;

/* The output is 0 where nothing is copied to it. Each piece copies count[0] * ... * count[3]
 * elements: out[out_first + sum of i_k * out_step[k]] = in[in_first + sum of i_k * in_step[k]] for
 * all 0 <= i_k < count[k], counted in elements in physical order. Concat, slice, pad, transpose,
 * pixel shuffle and nearest upsampling are lists of pieces. Inputs and output have one type. */
typedef struct {
  uint32_t input; /* which of the operator's inputs */
  uint32_t in_first, out_first;
  uint32_t count[4]; /* each at least 1 */
  int32_t in_step[4];
  uint32_t out_step[4];
} intrt_move_piece;
typedef struct {
  uint32_t piece_count;
  uint32_t pieces_offset; /* intrt_move_piece[piece_count] */
} intrt_move_params;

/* out[0,y,x] = the first c whose code in[c,y,x] is the largest. The input's channels share one
 * decimal; the output is int32 with one channel. No parameters. */

#endif /* INTRT_PLAN_FORMAT_H_ */
