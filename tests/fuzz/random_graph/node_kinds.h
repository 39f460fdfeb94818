// One function per kind of node: appends one (or a few) of them to the graph, with random
// attributes and state. False when it found no place for it; then nothing but quantize nodes may
// have been added.
#pragma once

#include <string_view>

#include "tests/fuzz/random_graph/graph_builder.h"

namespace lockstep::test {

// `op` is the operator's name in graph.json.
bool add_convolution(GraphBuilder& graph, std::string_view op);  // 1d, 2d, transposed
bool add_linear(GraphBuilder& graph, std::string_view op);
bool add_batch_norm(GraphBuilder& graph, std::string_view op);
bool add_activation(GraphBuilder& graph, std::string_view op);
bool add_quantize(GraphBuilder& graph, std::string_view op);
bool add_prune(GraphBuilder& graph, std::string_view op);
bool add_identity(GraphBuilder& graph, std::string_view op);  // and dropout
bool add_max_pool(GraphBuilder& graph, std::string_view op);
bool add_avg_pool(GraphBuilder& graph, std::string_view op);  // and adaptive
bool add_flatten(GraphBuilder& graph, std::string_view op);
bool add_reshape(GraphBuilder& graph, std::string_view op);
bool add_transpose(GraphBuilder& graph, std::string_view op);
bool add_slice(GraphBuilder& graph, std::string_view op);
bool add_pad(GraphBuilder& graph, std::string_view op);
bool add_pixel_shuffle(GraphBuilder& graph, std::string_view op);  // and unshuffle
bool add_upsample(GraphBuilder& graph, std::string_view op);
bool add_concat(GraphBuilder& graph, std::string_view op);
bool add_sum(GraphBuilder& graph, std::string_view op);  // add, sub
bool add_mul(GraphBuilder& graph, std::string_view op);
bool add_argmax(GraphBuilder& graph, std::string_view op);

}  // namespace lockstep::test
