// The C++ interface of quantize and prune layers: QSPARSE's tutorial in LibTorch's idiom, callbacks
// of one's own, and what is refused.
#include "train/sparse_layers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <sstream>

#include "tests/support/input_error.h"
#include "tests/support/torch_doctest.h"

using namespace lockstep::train;
using lockstep::StateDict;
using lockstep::test::contains;
using lockstep::test::input_error_of;

namespace {

using Shape = std::vector<std::int64_t>;

// The lines that layers of this thread say while it lives.
struct Lines {
  std::vector<std::string> all;
  LogCapture capture{[this](LogKind, const std::string& line) { all.push_back(line); }};
};

std::vector<std::string> keys_of(const torch::nn::Module& module) {
  std::vector<std::string> keys;
  for (const StateEntry& entry : state_entries(module)) keys.push_back(entry.key);
  return keys;
}

torch::nn::Conv2d small_conv(std::int64_t outputs = 4) {
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(2, outputs, 3));
}

Sparse<torch::nn::Conv2dImpl> tutorial_conv() {
  return quantize(prune(torch::nn::Conv2d(1, 8, 3),
                        PruneOptions().sparsity(0.5).start(20).interval(10).repetition(4)),
                  QuantizeOptions().bits(8).timeout(10));
}

bool same_state(const StateDict& a, const StateDict& b) {
  return lockstep::to_safetensors(a) == lockstep::to_safetensors(b);
}

bool same(const torch::Tensor& a, const torch::Tensor& b) { return torch::equal(a, b); }

}  // namespace

TEST_CASE("one decimal per index of the channel axis, or one for all") {
  const Lines quiet;
  const torch::Tensor x = torch::rand({10, 20, 30});
  const auto decimals = [&](QuantizeOptions options) {
    Quantize layer = quantize(std::move(options));
    layer->forward(x);
    return layer->decimal.sizes().vec();
  };
  CHECK(decimals(QuantizeOptions().bits(8)) == Shape{20});
  CHECK(decimals(QuantizeOptions().bits(8).channelwise(2)) == Shape{30});
  CHECK(decimals(QuantizeOptions().bits(8).channelwise(-1)) == Shape{1});
}

TEST_CASE("a mask has the data's shape, or 1 along what is not pruned") {
  const Lines quiet;
  const torch::Tensor x = torch::rand({10, 20, 6, 4});
  const auto mask = [&](PruneOptions options) {
    Prune layer = prune(std::move(options));
    layer->forward(x);
    return layer->mask.sizes().vec();
  };
  CHECK(mask(PruneOptions().collapse(-1)) == Shape{10, 20, 6, 4});
  CHECK(mask(PruneOptions().collapse(-1).callback(structured_prune({0, 1}))) ==
        Shape{10, 20, 1, 1});
  CHECK(mask(PruneOptions()) == Shape{20, 6, 4});
  CHECK(mask(PruneOptions().callback(structured_prune({0}))) == Shape{20, 1, 1});
  CHECK(mask(PruneOptions().callback(block_prune({4, 4}))) == Shape{20, 6, 4});
}

TEST_CASE("blocks go by the mean magnitude of the elements that they have") {
  // 3 x 5 times 2 taps in blocks of 2 x 3: those at the ends are smaller.
  torch::Tensor x = torch::ones({3, 5, 2});
  const auto block = [&](std::int64_t row, std::int64_t column, std::int64_t tap) {
    using torch::indexing::Slice;
    return x.index({Slice(2 * row, 2 * row + 2), Slice(3 * column, 3 * column + 3), tap});
  };
  block(0, 0, 0).mul_(-0.1);
  block(0, 1, 1).mul_(0.2);
  block(1, 1, 0).mul_(0.3);
  x[2][0][1] = 2.5;  // the mean of its block of three is 1.5
  const torch::Tensor expected = torch::ones({3, 5, 2}, torch::kBool);
  for (const auto& [rows, columns, tap] :
       {std::tuple(std::pair(0, 2), std::pair(0, 3), 0), {{0, 2}, {3, 5}, 1}, {{2, 3}, {3, 5}, 0}})
    for (int row = rows.first; row < rows.second; ++row)
      for (int column = columns.first; column < columns.second; ++column)
        expected[row][column][tap] = false;
  // int(8 * sparsity - 1) blocks of 8 go.
  CHECK(torch::equal(block_prune({2, 3})({x}, 0.5), expected));
  CHECK(block_prune({2, 3})({x}, 0).all().item<bool>());
  CHECK(torch::equal(block_prune({1, 1, 1})({x}, 0.5), unstructured_prune()({x}, 0.5)));
  CHECK(input_error_of([&] {
          block_prune({2, 3, 1, 1})({x}, 0.5);
        }) == "blocks have 4 extents, the data 3 dimensions");
  CHECK(input_error_of([&] { block_prune({})({x}, 0.5); }) ==
        "blocks have 0 extents, the data 3 dimensions");
}

TEST_CASE("a graph asks for blocks") {
  lockstep::PruneSpec spec;
  spec.block = {{2, 3}};
  const torch::Tensor x = torch::rand({4, 6});
  CHECK(torch::equal(PruneOptions(spec).callback()({x}, 0.5), block_prune({2, 3})({x}, 0.5)));
}

TEST_CASE("another size in eval mode fails, and with strict = false the mask is tiled") {
  const Lines quiet;
  const torch::Tensor small = torch::rand({1, 2, 4, 4}), large = torch::rand({1, 2, 8, 8});
  for (const bool strict : {true, false}) {
    Prune layer =
        prune(PruneOptions().start(0).interval(1).repetition(1).strict(strict).name("thin"));
    layer->forward(small);
    layer->forward(small);
    layer->eval();
    const std::string error = input_error_of([&] { layer->forward(large); });
    CHECK(error == (strict ? "layer 'thin': the mask has shape [2, 4, 4], the input [1, 2, 8, 8]"
                           : "(no error)"));
    if (!strict) CHECK(same(layer->forward(large), large * layer->mask.repeat({1, 2, 2})));
  }
}

TEST_CASE("a wrapped layer's state comes in QSPARSE's order, and its stored weight stays float") {
  const Lines quiet;
  auto conv = tutorial_conv();
  const torch::Tensor stored = conv->weight.detach().clone();
  for (int step = 0; step <= 60; ++step) conv->forward(torch::rand({2, 1, 6, 6}));
  CHECK(keys_of(*conv) == std::vector<std::string>{"weight", "bias", "prune.mask",
                                                   "prune._n_updates", "prune._cur_sparsity",
                                                   "quantize.decimal", "quantize._n_updates",
                                                   "quantize.bits", "quantize._quantized"});
  CHECK(same(conv->weight, stored));
  CHECK(same(conv->named_parameters()["weight"], stored));
  CHECK(conv->pruner()->current_sparsity.item<float>() == 0.5f);
  const torch::Tensor w = conv->effective_weight();
  CHECK(same(w.ne(0) & conv->pruner()->mask.logical_not(), torch::zeros_like(w, torch::kBool)));
  const torch::Tensor codes = w * torch::exp2(conv->quantizer()->decimal.view({1, -1, 1, 1}));
  CHECK(same(codes, codes.round().clamp(-128, 127)));
  CHECK(same(conv->effective_bias(), conv->bias));
}

TEST_CASE("the order of the calls is the order of application") {
  const Lines quiet;
  const auto first_child = [](const torch::nn::Module& module) {
    return module.named_children()[0].key();
  };
  CHECK(first_child(*quantize(prune(small_conv()))) == "prune");
  CHECK(first_child(*prune(quantize(small_conv()))) == "quantize");
  CHECK(keys_of(*quantize(small_conv(), QuantizeOptions().bias_bits(12))).back() ==
        "quantize_bias._quantized");
}

TEST_CASE("any module with a weight can be wrapped, and computes with the effective weight") {
  const Lines quiet;
  const QuantizeOptions now = QuantizeOptions().bits(4).channelwise(0).timeout(0);
  const auto check = [&](auto layer, const torch::Tensor& x) {
    auto twin = std::dynamic_pointer_cast<typename decltype(layer)::Impl>(layer.ptr());
    const torch::Tensor stored = layer->weight.detach().clone();
    auto wrapped = quantize(layer, now);
    wrapped->eval();
    const torch::Tensor y = wrapped->forward(x);
    const torch::Tensor effective = wrapped->effective_weight();
    CHECK(!same(effective, stored));
    CHECK(same(twin->weight, stored));  // given back after the forward
    const torch::NoGradGuard values_only;
    twin->weight.copy_(effective);
    CHECK(same(twin->forward(x), y));
  };
  check(torch::nn::Conv1d(2, 3, 3), torch::rand({2, 2, 7}));
  check(torch::nn::Conv2d(2, 3, 3), torch::rand({2, 2, 7, 7}));
  check(torch::nn::ConvTranspose2d(2, 3, 3), torch::rand({2, 2, 4, 4}));
  check(torch::nn::ConvTranspose1d(2, 3, 3), torch::rand({2, 2, 4}));
  check(torch::nn::Linear(5, 3), torch::rand({2, 5}));
}

TEST_CASE("a wrapped batch norm keeps its statistics and follows train and eval") {
  const Lines quiet;
  auto norm = quantize(torch::nn::BatchNorm2d(3), QuantizeOptions().channelwise(0));
  CHECK(keys_of(*norm)[4] == "num_batches_tracked");
  norm->forward(torch::rand({4, 3, 2, 2}));
  norm->eval();
  norm->forward(torch::rand({4, 3, 2, 2}));
  CHECK(norm->named_buffers()["num_batches_tracked"].item<std::int64_t>() == 1);
}

TEST_CASE("a forward that fails gives the stored weight back") {
  const Lines quiet;
  auto conv = quantize(small_conv(), QuantizeOptions().channelwise(0).timeout(0));
  const torch::Tensor stored = conv->weight.detach().clone();
  CHECK_THROWS(conv->forward(torch::rand({1, 7, 4, 4})));
  CHECK(same(conv->weight, stored));
  CHECK_NOTHROW(conv->forward(torch::rand({1, 2, 4, 4})));
}

TEST_CASE("layers work in a Sequential, and are named by their path") {
  Lines lines;
  torch::nn::Sequential net;
  net->push_back("conv",
                 quantize(prune(torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 8, 3).bias(false)),
                                PruneOptions().start(20).interval(10)),
                          QuantizeOptions().timeout(10).channelwise(0)));
  net->push_back("conv_output_pruning", prune(PruneOptions().start(20).interval(10)));
  net->push_back("conv_output_quantization", quantize(QuantizeOptions().timeout(10)));
  auto_name_prune_quantize_layers(*net);
  lines.all.clear();
  for (int step = 0; step <= 60; ++step) net->forward(torch::rand({2, 1, 6, 6}));
  REQUIRE(lines.all.size() == 10);
  CHECK(contains(lines.all[0], "[Quantize @ conv.quantize] (channelwise) avg decimal = "));
  CHECK(contains(lines.all[1], "[Quantize @ conv_output_quantization] (channelwise) avg "));
  CHECK(lines.all[2] == "[Prune @ conv.prune] [Step 30] active 0.74, pruned 0.26, window_size = 1");
  CHECK(contains(lines.all[9], "[Prune @ conv_output_pruning] [Step 60] active 0.51, "));
  std::vector<std::string> table;
  for (const StateEntry& entry : state_entries(*net))
    table.push_back(fmt::format("{} ({})", entry.key, fmt::join(entry.tensor.sizes(), ", ")));
  CHECK(table.size() == 15);
  CHECK(table[1] == "conv.prune.mask (8, 1, 3, 3)");
  CHECK(table[8] == "conv_output_pruning.mask (8, 4, 4)");
  CHECK(table[11] == "conv_output_quantization.decimal (8)");
}

TEST_CASE("a layer announces itself, unless log_on_created is off; a missing bias is warned of") {
  Lines lines;
  quantize();
  quantize(QuantizeOptions().bits(4).channelwise(-1).name("q"));
  prune(PruneOptions().sparsity(0.75));
  CHECK(lines.all ==
        std::vector<std::string>{
            "[Quantize] bits=8 channelwise=1 window_size=1 timeout=1000",
            "[Quantize @ q] bits=4 channelwise=-1 window_size=1 timeout=1000",
            "[Prune] start = 1000 interval = 1000 repetition = 4 sparsity = 0.75 window_size = 1 "
            "collapse = 0 "});
  set_sparse_options({.log_on_created = false});
  lines.all.clear();
  quantize(torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 1, 1).bias(false)),
           QuantizeOptions().bias_bits(12).name("c"));
  set_sparse_options({});
  CHECK(lines.all ==
        std::vector<std::string>{"layer 'c': bias_bits = 12, but there is no bias; the state "
                                 "entries of quantize_bias stay unused"});
}

TEST_CASE("reading the weight is no step, and neither is a forward under a FreezeGuard") {
  const Lines quiet;
  auto conv = tutorial_conv();
  conv->forward(torch::rand({2, 1, 6, 6}));
  const StateDict before = to_state_dict(*conv);
  for (int i = 0; i < 30; ++i) conv->effective_weight();
  {
    const FreezeGuard frozen;
    for (int i = 0; i < 30; ++i) conv->forward(torch::rand({2, 1, 6, 6}));
  }
  CHECK(same_state(to_state_dict(*conv), before));
  CHECK(conv->quantizer()->n_updates.item<int>() == 1);
}

TEST_CASE("a state moves into a layer that has seen no data, and training goes on alike") {
  const Lines quiet;
  auto trained = tutorial_conv();
  for (int step = 0; step < 35; ++step) trained->forward(torch::rand({2, 1, 6, 6}));
  auto loaded = tutorial_conv();
  load_state(*loaded, to_state_dict(*trained), "state.pt");
  auto archived = tutorial_conv();  // LibTorch's own way
  std::stringstream archive;
  torch::save(trained, archive);
  torch::load(archived, archive);
  for (int step = 35; step < 70; ++step) {
    const torch::Tensor x = torch::rand({2, 1, 6, 6});
    const torch::Tensor y = trained->forward(x);
    CHECK(same(loaded->forward(x), y));
    CHECK(same(archived->forward(x), y));
  }
}

TEST_CASE("a state that does not fit is refused by key, and nothing is loaded") {
  const Lines quiet;
  const auto state_of = [](std::int64_t outputs) {
    auto conv = quantize(prune(small_conv(outputs)), QuantizeOptions().channelwise(0));
    conv->forward(torch::rand({1, 2, 4, 4}));
    return to_state_dict(*conv);
  };
  const StateDict good = state_of(4), other = state_of(5);
  const auto error_with = [&](const std::string& key) {
    StateDict mixed;
    for (const auto& [name, tensor] : good.entries())
      mixed.add(name, name == key ? other.at(key) : tensor);
    auto conv = quantize(prune(small_conv()), QuantizeOptions().channelwise(0));
    const StateDict before = to_state_dict(*conv);
    const std::string error = input_error_of([&] { load_state(*conv, mixed, "file"); });
    if (!key.empty()) CHECK(same_state(to_state_dict(*conv), before));
    return error;
  };
  CHECK(error_with("") == "(no error)");
  CHECK(error_with("prune.mask") ==
        "file: 'prune.mask' has shape [5, 2, 3, 3], but this network needs [4, 2, 3, 3], or 1 "
        "along some axes");
  CHECK(error_with("quantize.decimal") ==
        "file: 'quantize.decimal' has shape [5], but this network needs [4]");
  CHECK(error_with("weight") ==
        "file: 'weight' has dtype float32 and shape [5, 2, 3, 3], the network needs float32 [4, "
        "2, 3, 3]");
}

TEST_CASE("callbacks of one's own prune and quantize") {
  const Lines quiet;
  // Keeps the first row of each weight; rounds to the nearest code of any sign.
  std::vector<double> sparsities;
  const PruneCallback first_row = [&](const std::vector<torch::Tensor>& window, double sparsity) {
    sparsities.push_back(sparsity);
    torch::Tensor mask = torch::zeros(window.at(0).sizes(), torch::kBool);
    mask.select(0, 0).fill_(true);
    return mask;
  };
  const QuantizeCallback nearest = [](const torch::Tensor& x, std::int64_t,
                                      const torch::Tensor& decimals, std::int64_t) {
    const torch::Tensor scale = torch::exp2(decimals.max());
    return torch::round(x * scale) / scale;
  };
  auto fc = quantize(
      prune(torch::nn::Linear(3, 2),
            PruneOptions().sparsity(0.5).start(0).interval(1).repetition(1).callback(first_row)),
      QuantizeOptions().channelwise(-1).decimal_range(0, 3).timeout(1).callback(nearest));
  {
    const torch::NoGradGuard values_only;
    fc->weight.copy_(torch::tensor({{0.25f, 0.5f, -0.75f}, {0.3f, 0.3f, 0.3f}}));
  }
  const torch::Tensor x = torch::rand({1, 3});
  fc->forward(x);
  fc->forward(x);
  CHECK(sparsities == std::vector<double>{0.0, 0.5});
  CHECK(fc->quantizer()->decimal.item<float>() == 2.0f);  // the coarsest one without an error
  const torch::Tensor w = fc->effective_weight();
  CHECK(same(w[1], torch::zeros({3})));
  CHECK(same(w[0], fc->weight[0]));
}

TEST_CASE("gradients pass straight through, and the incoming one stays as it is") {
  const Lines quiet;
  Quantize layer =
      quantize(QuantizeOptions().bits(2).channelwise(-1).timeout(0).decimal_range(0, 1));
  const torch::Tensor x = torch::tensor({{-5.0f, 0.5f, 3.0f}}).requires_grad_();
  const torch::Tensor g = torch::tensor({{-9.0f, 0.5f, 9.0f}}), kept = g.clone();
  layer->forward(x).backward(g);
  CHECK(same(x.grad(), torch::tensor({{-2.0f, 0.5f, 1.0f}})));  // the range of two bits
  CHECK(same(g, kept));
  x.mutable_grad() = torch::Tensor();
  (x + layer->forward(x)).backward(g);
  CHECK(same(x.grad(), g + torch::tensor({{-2.0f, 0.5f, 1.0f}})));
  x.mutable_grad() = torch::Tensor();
  layer->forward(x).sum().backward();
  CHECK(same(x.grad(), torch::ones({1, 3})));
}

TEST_CASE("values that no code can hold are refused with the layer and the value") {
  const Lines quiet;
  const auto layer = [] {
    return quantize(QuantizeOptions().channelwise(-1).timeout(0).name("act"));
  };
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK(contains(input_error_of([&] {
                   layer()->forward(torch::full({1, 2}, NAN));
                 }),
                 "layer 'act': no decimal from 0 to 19 has a finite error; the data reach nan"));
  CHECK(contains(input_error_of([&] {
                   layer()->forward(torch::full({1, 2}, infinity));
                 }),
                 "the data reach inf"));
  Quantize fine = layer();
  fine->forward(torch::full({1, 2}, 1e-5f));
  CHECK(fine->decimal.item<float>() == 19.0f);
  CHECK(input_error_of([&] {
          fine->forward(torch::full({1, 2}, 4096.0f));
        }) == "layer 'act': value 4096 times 2^decimal does not fit int32 (decimals 19 to 19)");
  CHECK(contains(input_error_of([&] { fine->forward(torch::full({1, 2}, NAN)); }), "value nan"));
}

TEST_CASE("what has no meaning is refused when the layer is made") {
  const Lines quiet;
  const auto quantize_error = [](QuantizeOptions options) {
    return input_error_of([&] { quantize(std::move(options)); });
  };
  const auto prune_error = [](PruneOptions options) {
    return input_error_of([&] { prune(std::move(options)); });
  };
  CHECK(quantize_error(QuantizeOptions().bits(0)) ==
        "quantize layer: bits = 0, but it must be 1 to 32");
  CHECK(contains(quantize_error(QuantizeOptions().bits(33).name("q")), "layer 'q': bits = 33"));
  CHECK(contains(quantize_error(QuantizeOptions().decimal_range(3, 3)),
                 "decimal_range = [3, 3], but its end (exclusive) must be above its start"));
  CHECK(contains(quantize_error(QuantizeOptions().saturate_range(0.9, 0.1)), "saturate_range"));
  CHECK(contains(quantize_error(QuantizeOptions().window_size(0)), "window_size = 0"));
  CHECK(contains(prune_error(PruneOptions().sparsity(1.5)), "prune layer: sparsity = 1.5"));
  CHECK(contains(prune_error(PruneOptions().sparsity(NAN)), "sparsity = nan"));
  CHECK(contains(prune_error(PruneOptions().interval(0)), "interval = 0"));
  CHECK(contains(prune_error(PruneOptions().repetition(-1)), "repetition = -1"));
  CHECK(contains(prune_error(PruneOptions().collapse(1)), "collapse = 1"));
  CHECK(contains(input_error_of([] { quantize(quantize(small_conv())); }),
                 "a weight can be wrapped by quantize only once"));
  CHECK(contains(input_error_of([] { prune(prune(small_conv(), PruneOptions().name("c"))); }),
                 "a weight can be wrapped by prune only once"));
  CHECK(contains(
      input_error_of([] { quantize(torch::nn::Linear(3, 2), QuantizeOptions().channelwise(2)); }),
      "channelwise = 2, but the weight has shape [2, 3]; use 0 to 1, or -1"));
  Quantize batch = quantize(QuantizeOptions().channelwise(0).name("q"));
  CHECK(contains(input_error_of([&] {
                   batch->forward(torch::rand({4, 3}));
                 }),
                 "layer 'q': channelwise = 0 is the batch axis of an activation"));
  Prune shapes = prune(PruneOptions().name("p").callback(
      [](const std::vector<torch::Tensor>&, double) { return torch::ones({7}, torch::kBool); }));
  CHECK(contains(input_error_of([&] {
                   shapes->forward(torch::rand({4, 3}));
                 }),
                 "layer 'p': the callback's mask has shape [7], the data [3]"));
}
