// Stand-ins for the reader of models and for the proofs, so that the tests of certificates depend
// on none: a model is the text of its two files, and what is "proved" of it depends on every part;
// C is proved where it does not say "wrong".
#include <fstream>
#include <iterator>

#include "verify/c_proof/c_proof.h"
#include "verify/checker/plan.h"
#include "verify/checker/proof.h"

namespace lockstep::checker {

Model read_model(const std::filesystem::path& graph, const std::filesystem::path& state) {
  Model model;
  for (const auto& path : {graph, state}) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw BadFile(path.string() + ": there is no such file");
    model.name.append(std::istreambuf_iterator<char>(file), {});
  }
  return model;
}

Proof prove(const Model& model, const Plan& plan) {
  const auto says = [&model](const char* word) { return model.name.find(word) != model.name.npos; };
  if (says("wrong")) throw Failure{false, "conv", "weights", "layer 'conv': weight 3 is 4, not 5"};
  if (says("unclear")) throw Failure{true, "conv", "post", "layer 'conv': too many accumulators"};
  Proof proof;
  proof.elements_checked = static_cast<Int>(model.name.size());
  for (const PlanOp& op : plan.ops) {
    proof.weights_checked += static_cast<Int>(op.weights.size());
    LayerFacts layer{op.node, "operator", plan.tensors[op.output].name, {}};
    const Int channels = says("few") ? 1 : plan.tensors[op.output].channels;
    for (Int c = 0; c < channels; ++c) {
      ChannelFacts facts{c, c, -100, 100 + c, 1 << 20, 32, 1 << 22, true, "shift 9", "copied", 201};
      for (const Int weight : op.weights) facts.bound += std::abs(weight);
      if (says("tiny")) facts.bound = facts.float_bound = 1;
      layer.channels.push_back(facts);
    }
    proof.layers.push_back(layer);
  }
  proof.unstable_layers = {"op4"};
  return proof;
}

}  // namespace lockstep::checker

namespace lockstep::c_proof {

Facts prove_c(const Files& files, const checker::Plan&) {
  if (files.source.find("wrong") != files.source.npos)
    throw checker::Failure{true, "conv", "C", "'conv', C line 7: another multiple"};
  return {static_cast<checker::Int>(files.source.size()), 0, 0, 0};
}

}  // namespace lockstep::c_proof
