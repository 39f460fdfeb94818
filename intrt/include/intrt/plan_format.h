/* The bytes of a plan, version 1. docs/plan-format.md says the same in prose.
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
#define INTRT_PLAN_VERSION 1u
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

/* intrt_tensor_record.flags */
#define INTRT_TENSOR_INPUT 1u
#define INTRT_TENSOR_OUTPUT 2u
#define INTRT_TENSOR_NAMED 4u /* holds exactly the value of the graph node `name` */

typedef struct {
  uint32_t name_offset; /* NUL-terminated UTF-8: the graph node or input whose value this is */
  uint32_t channels, height, width;
  uint32_t arena_offset;    /* multiple of 16 */
  uint32_t decimals_offset; /* int8_t[decimal_count]: value = code * 2^-decimal */
  uint32_t decimal_count;   /* 1, or channels */
  uint8_t type;             /* INTRT_INT8, ... */
  uint8_t bits;             /* codes lie in [-2^(bits-1), 2^(bits-1)-1]; 32 for raw accumulators */
  uint8_t logical_rank;     /* 1: [C*H*W], 2: [C, L] with L = width, height = 1; 3: [C, H, W] */
  uint8_t flags;
} intrt_tensor_record;

/* What happens to an accumulator, or to a code, on its way out:
 *   kind NONE   out = acc                                     (type INTRT_INT32 only; mask allowed)
 *   kind SHIFT  out = intrt_requantize(acc, shift[c], rounding, lo, hi)
 * then, where a mask is given, out = keep ? out : 0. The mask has one bit per output element in
 * physical (HWC) order, bit i of byte i/8 counted from the least significant; 1 keeps. */
#define INTRT_POST_NONE 0u
#define INTRT_POST_SHIFT 1u

typedef struct {
  uint8_t kind;
  uint8_t rounding;       /* INTRT_ROUND_* */
  uint16_t reserved;      /* 0 */
  int32_t lo, hi;         /* lo <= hi, both in the output tensor's code range */
  uint32_t shifts_offset; /* int8_t[shift_count], each INTRT_SHIFT_MIN..INTRT_SHIFT_MAX */
  uint32_t shift_count;   /* 1, or the output's channels; 0 with INTRT_POST_NONE */
  uint32_t mask_offset;   /* 0: no mask */
} intrt_post_record;

/* Starts every op record; the parameters of the operator follow at once. */
typedef struct {
  uint32_t code;         /* op_list.def */
  uint32_t record_bytes; /* header and parameters */
  uint32_t name_offset;  /* the graph node that this operator computes (the first, when fused) */
  uint32_t output;       /* tensor index */
  uint32_t input_count;
  uint32_t inputs[3]; /* tensor indices; unused ones 0 */
} intrt_op_record;

/* acc[o,y,x] = bias[o] + sum over i,ky,kx of in[g*I+i, y*sy - pt + ky*dy, x*sx - pl + kx*dx] *
 * w[o,ky,kx,i] with 0 outside the input; g = o / (O / groups), I = input channels / groups. */
typedef struct {
  uint32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
  uint32_t pad_top, pad_left, pad_bottom, pad_right;
  uint32_t groups;
  uint32_t weight_type;    /* INTRT_INT8 or INTRT_INT16 */
  uint32_t weights_offset; /* [O][kernel_h][kernel_w][I] */
  uint32_t bias_offset;    /* int32_t[O]; 0: none */
  intrt_post_record post;
} intrt_conv2d_params;

/* acc[o] = bias[o] + sum over k of in[k] * w[o,k], k in the physical order of the input. */
typedef struct {
  uint32_t weight_type;
  uint32_t weights_offset; /* [O][K] */
  uint32_t bias_offset;    /* int32_t[O]; 0: none */
  intrt_post_record post;
} intrt_linear_params;

/* Largest code of each window; positions outside the input do not take part. Input and output have
 * the same type, bits and decimals. Every window holds at least one position inside. */
typedef struct {
  uint32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
  uint32_t pad_top, pad_left, pad_bottom, pad_right;
} intrt_max_pool2d_params;

/* out = post(in), element by element: quantize of codes, relu (shift 0, lo 0), prune (shift 0,
 * mask). May work in place. */
typedef struct {
  intrt_post_record post;
} intrt_requantize_params;

/* Physical HWC to physical CHW: out[(c*H + y)*W + x] = in[(y*W + x)*C + c]. The output is a vector:
 * channels = C*H*W, height = width = 1, logical_rank 1. No parameters. */

#endif /* INTRT_PLAN_FORMAT_H_ */
