// The training loop. Everything that decides a bit of the result - weights, order of the images,
// dropout - follows from the seed and the step number, so a resumed run goes on exactly as an
// uninterrupted one.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/torch.h>

#include <chrono>
#include <cmath>
#include <limits>

#include "compile/support/error.h"
#include "compile/support/files.h"
#include "train/blas.h"
#include "train/checkpoint.h"
#include "train/datasets/dataset.h"
#include "train/datasets/random.h"
#include "train/network.h"
#include "train/optimizer.h"
#include "train/progress.h"
#include "train/train.h"

namespace lockstep::train {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::int64_t kTestBatch = 500;
// The layers count steps in int32, as QSPARSE does; also the largest batch.
constexpr std::int64_t kMostSteps = std::numeric_limits<std::int32_t>::max();
constexpr std::uint64_t kShuffleStream = std::uint64_t{5} << 32;
constexpr std::uint64_t kStepStream = std::uint64_t{6} << 32;

struct OutputFiles {
  fs::path state_pt, state_safetensors, log, checkpoint;
  explicit OutputFiles(const fs::path& folder)
      : state_pt(folder / "state.pt"),
        state_safetensors(folder / "state.safetensors"),
        log(folder / "log.jsonl"),
        checkpoint(folder / "checkpoint.pt") {}
};

void require_options(const Graph& graph, const TrainOptions& options) {
  if (options.out.empty()) throw InputError("train: no output folder given");
  if (options.device != "cpu")
    throw InputError(
        fmt::format("device '{}' is not available: this build trains on cpu", options.device));
  const auto at_least_one = [](const char* name, std::int64_t value) {
    if (value < 1) throw InputError(fmt::format("{} = {}, but it must be at least 1", name, value));
  };
  at_least_one("epochs", options.epochs);
  at_least_one("batch size", options.batch_size);
  if (options.batch_size > kMostSteps)
    throw InputError(
        fmt::format("batch size = {}, allowed are 1 to {}", options.batch_size, kMostSteps));
  if (!(options.learning_rate > 0) || !std::isfinite(options.learning_rate))
    throw InputError(
        fmt::format("learning rate = {}, but it must be greater than 0", options.learning_rate));
  if (options.threads < 0 || options.threads > 1024)
    throw InputError(
        fmt::format("threads = {}, allowed are 0 (automatic) to 1024", options.threads));
  if (graph.inputs.size() != 1)
    throw InputError(fmt::format("graph '{}' has {} inputs; training needs one", graph.name,
                                 graph.inputs.size()));
}

struct Batch {
  torch::Tensor images;  // float32, exactly code * 2^-decimal
  std::vector<std::int64_t> labels;
};

Batch gather(const datasets::Images& source, const GraphInput& input,
             std::span<const std::int64_t> order) {
  std::vector<std::int64_t> shape = {static_cast<std::int64_t>(order.size())};
  shape.insert(shape.end(), input.shape.begin(), input.shape.end());
  Batch batch;
  batch.images = torch::empty(shape, torch::kFloat32);
  const std::int64_t size = batch.images.numel() / shape[0];
  const float step = std::ldexp(1.0f, -static_cast<int>(input.decimal));
  float* target = batch.images.data_ptr<float>();
  for (const std::int64_t index : order) {
    const std::int16_t* codes = source.codes.data() + index * size;
    for (std::int64_t i = 0; i < size; ++i) target[i] = static_cast<float>(codes[i]) * step;
    target += size;
    batch.labels.push_back(source.labels[static_cast<std::size_t>(index)]);
  }
  return batch;
}

// How many rows have their largest value, the first of equal ones, at the label.
std::int64_t count_correct(const torch::Tensor& logits, std::span<const std::int64_t> labels) {
  const torch::Tensor rows = logits.detach().contiguous();
  const std::int64_t classes = rows.size(1);
  const float* row = rows.data_ptr<float>();
  std::int64_t correct = 0;
  for (const std::int64_t label : labels) {
    correct += std::max_element(row, row + classes) - row == label ? 1 : 0;
    row += classes;
  }
  return correct;
}

class Training {
 public:
  Training(const Graph& graph, const TrainOptions& options)
      : options_(options),
        files_(options.out),
        reporter_(options.quiet),
        log_(files_.log),
        input_(graph.inputs.at(0)),
        kind_(parse_optimizer(options.optimizer)),
        network_(graph, options.seed) {
    dataset_ = datasets::load_dataset(options.data, input_, {.seed = options.seed});
    steps_per_epoch_ = (dataset_.train.count() + options.batch_size - 1) / options.batch_size;
    if (steps_per_epoch_ < 1)
      throw InputError(fmt::format("data '{}' have no training images", options.data));
    if (options.epochs > kMostSteps / steps_per_epoch_)
      throw InputError(fmt::format("epochs = {}, but with {} steps each at most {} are possible",
                                   options.epochs, steps_per_epoch_,
                                   kMostSteps / steps_per_epoch_));
    trainable_ = network_.trainable();
    if (trainable_.empty())
      throw InputError(fmt::format("graph '{}' has nothing to train", graph.name));
    start_state(graph);
    if (!options.resume.empty()) resume();
    require_class_outputs();
  }

  TrainResult run() {
    announce();
    TrainResult result;
    result.test_images = dataset_.test.count();
    const std::int64_t total = options_.epochs * steps_per_epoch_;
    const auto begin = Clock::now();
    const std::int64_t first = state_.step;
    while (state_.step < total) {
      if (interrupted()) {
        save_checkpoint();
        reporter_.line(fmt::format("interrupted after step {}; continue with --resume {}",
                                   state_.step, files_.checkpoint.string()));
        result.interrupted = true;
        result.steps = state_.step;
        return result;
      }
      train_step(total);
      const std::chrono::duration<double> spent = Clock::now() - begin;
      show_progress(spent.count() / static_cast<double>(state_.step - first) *
                    static_cast<double>(total - state_.step));
      if (state_.step % steps_per_epoch_ == 0) finish_epoch(result);
    }
    if (first == total) result.test_accuracy = test_accuracy();
    finish();
    result.steps = state_.step;
    return result;
  }

 private:
  bool interrupted() const { return options_.interrupted != nullptr && *options_.interrupted; }

  void start_state(const Graph& graph) {
    state_.graph_json = to_json(graph);
    state_.data = options_.data;
    state_.optimizer = options_.optimizer;
    state_.batch_size = options_.batch_size;
    state_.threads = at::get_num_threads();
    state_.seed = options_.seed;
    state_.learning_rate = options_.learning_rate;
    state_.epochs = options_.epochs;
    for (const auto& [key, tensor] : trainable_)
      state_.optimizer_states.push_back(
          initial_state(kind_, static_cast<std::size_t>(tensor.numel())));
  }

  void resume() {
    TrainingState earlier = read_checkpoint(options_.resume, network_);
    const auto same = [&](const char* what, const auto& then, const auto& now) {
      if (then != now)
        throw InputError(
            fmt::format("{}: made with {} {}, but this run has {}; a resumed run must have "
                        "the same",
                        options_.resume.string(), what, then, now));
    };
    same("data", earlier.data, state_.data);
    same("optimizer", earlier.optimizer, state_.optimizer);
    same("batch size", earlier.batch_size, state_.batch_size);
    same("threads", earlier.threads, state_.threads);
    same("seed", earlier.seed, state_.seed);
    same("learning rate", earlier.learning_rate, state_.learning_rate);
    same("epochs", earlier.epochs, state_.epochs);
    if (earlier.step < 0 || earlier.step > options_.epochs * steps_per_epoch_)
      throw InputError(fmt::format("{}: made after step {}, but the training has {} steps",
                                   options_.resume.string(), earlier.step,
                                   options_.epochs * steps_per_epoch_));
    state_ = std::move(earlier);
    log_.take_over(options_.resume.parent_path() / "log.jsonl", state_.step);
  }

  // One forward that leaves no trace shows whether the network ends in one value per class.
  void require_class_outputs() {
    const torch::Tensor logits = evaluate(dataset_.test, std::vector<std::int64_t>{0}).first;
    const std::string& output = network_.graph().outputs.at(0);
    if (logits.dim() != 2)
      throw InputError(
          fmt::format("layer '{}': the first output has shape [{}]; training needs one value "
                      "per class",
                      output, fmt::join(logits.sizes().slice(1), ", ")));
    if (logits.size(1) < dataset_.classes)
      throw InputError(fmt::format("layer '{}': {} outputs, but data '{}' have {} classes", output,
                                   logits.size(1), options_.data, dataset_.classes));
  }

  void announce() {
    reporter_.line(fmt::format(
        "training '{}' on {}: {} training and {} test images, {} epochs of {} steps, {} threads",
        network_.graph().name, options_.data, dataset_.train.count(), dataset_.test.count(),
        options_.epochs, steps_per_epoch_, state_.threads));
    if (!has_optimized_blas())
      reporter_.line(
          "warning: LibTorch runs on the reference BLAS, which is slow; install "
          "libopenblas0-pthread");
    const std::int64_t total = options_.epochs * steps_per_epoch_;
    for (const QuantizeLayer* const layer : network_.quantize_layers())
      if (layer->timeout() >= total)
        reporter_.line(
            fmt::format("warning: layer '{}': timeout = {}, but training has {} steps: it will "
                        "not be quantized",
                        layer->label(), layer->timeout(), total));
    for (const PruneLayer* const layer : network_.prune_layers())
      if (layer->prunes() && layer->last_step() >= total)
        reporter_.line(
            fmt::format("warning: layer '{}': its pruning ends at step {}, but training has {} "
                        "steps",
                        layer->label(), layer->last_step(), total));
  }

  std::span<const std::int64_t> batch_indices() {
    const std::int64_t epoch = state_.step / steps_per_epoch_;
    if (epoch != shuffled_epoch_) {
      Random random(mix_seed(options_.seed, kShuffleStream + static_cast<std::uint64_t>(epoch)));
      order_ = random.permutation(dataset_.train.count());
      shuffled_epoch_ = epoch;
    }
    const std::int64_t begin = state_.step % steps_per_epoch_ * options_.batch_size;
    const std::int64_t end = std::min(begin + options_.batch_size, dataset_.train.count());
    return std::span(order_).subspan(static_cast<std::size_t>(begin),
                                     static_cast<std::size_t>(end - begin));
  }

  void train_step(std::int64_t total) {
    if (state_.step % steps_per_epoch_ == 0)
      state_.loss_sum = 0, state_.correct = 0, state_.seen = 0;
    torch::manual_seed(
        mix_seed(options_.seed, kStepStream + static_cast<std::uint64_t>(state_.step)));
    network_.train();
    network_.zero_grad();
    const Batch batch = gather(dataset_.train, input_, batch_indices());
    const torch::Tensor logits = network_.forward({batch.images}).at(0);
    const torch::Tensor loss =
        torch::nn::functional::cross_entropy(logits, torch::tensor(batch.labels, torch::kInt64));
    const auto loss_value = loss.item<double>();
    if (!std::isfinite(loss_value)) explain_bad_loss(batch, loss_value);
    loss.backward();
    const double rate = scheduled_learning_rate(options_.learning_rate, state_.step, total);
    ++state_.step;
    update_parameters(rate);
    const auto count = static_cast<std::int64_t>(batch.labels.size());
    state_.loss_sum += loss_value * static_cast<double>(count);
    state_.correct += count_correct(logits, batch.labels);
    state_.seen += count;
    std::vector<std::string>& events = network_.context().events;
    log_.add_step(state_.step, loss_value, rate, events);
    for (const std::string& event : events) reporter_.line(event);
    events.clear();
  }

  void update_parameters(double rate) {
    const torch::NoGradGuard values_only;
    for (std::size_t i = 0; i < trainable_.size(); ++i) {
      const auto& [key, tensor] = trainable_[i];
      if (!tensor.grad().defined()) continue;
      const torch::Tensor gradient = tensor.grad().contiguous();
      const auto count = static_cast<std::size_t>(tensor.numel());
      const std::span<float> values(tensor.data_ptr<float>(), count);
      if (optimizer_step(kind_, state_.step, rate, values, {gradient.data_ptr<float>(), count},
                         state_.optimizer_states[i]))
        continue;
      for (const float value : values)
        if (!std::isfinite(value))
          throw InputError(
              fmt::format("layer '{}': value {} after step {}; a lower learning rate may help", key,
                          value, state_.step));
    }
  }

  // Finds the first layer whose value is not finite; it is to blame for the loss.
  [[noreturn]] void explain_bad_loss(const Batch& batch, double loss) {
    const Freeze frozen(network_);
    const torch::NoGradGuard values_only;
    network_.forward({batch.images}, [&](const Node& node, const torch::Tensor& value) {
      if (value.isfinite().all().item<bool>()) return;
      const torch::Tensor bad = value.masked_select(value.isfinite().logical_not());
      throw InputError(
          fmt::format("layer '{}': value {} in step {}; a lower learning rate may help", node.name,
                      bad[0].item<float>(), state_.step + 1));
    });
    throw InputError(
        fmt::format("layer '{}': the loss is {} in step {}; a lower learning rate may help",
                    network_.graph().outputs.at(0), loss, state_.step + 1));
  }

  // While it lives, forwards change no state.
  struct Freeze {
    explicit Freeze(Network& network) : network_(network) { network_.context().frozen = true; }
    ~Freeze() { network_.context().frozen = false; }
    Freeze(const Freeze&) = delete;
    Freeze& operator=(const Freeze&) = delete;
    Network& network_;
  };

  // The logits of the last batch and the number of correct images.
  std::pair<torch::Tensor, std::int64_t> evaluate(const datasets::Images& images,
                                                  std::span<const std::int64_t> order) {
    const Freeze frozen(network_);
    const torch::NoGradGuard values_only;
    network_.eval();
    std::pair<torch::Tensor, std::int64_t> result;
    for (std::size_t begin = 0; begin < order.size(); begin += kTestBatch) {
      const Batch batch =
          gather(images, input_,
                 order.subspan(begin, std::min<std::size_t>(kTestBatch, order.size() - begin)));
      result.first = network_.forward({batch.images}).at(0);
      if (result.first.dim() == 2) result.second += count_correct(result.first, batch.labels);
    }
    return result;
  }

  double test_accuracy() {
    std::vector<std::int64_t> all(static_cast<std::size_t>(dataset_.test.count()));
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::int64_t>(i);
    const std::int64_t correct = evaluate(dataset_.test, all).second;
    return static_cast<double>(correct) / static_cast<double>(dataset_.test.count());
  }

  double mean_loss() const { return state_.loss_sum / static_cast<double>(state_.seen); }
  double train_accuracy() const {
    return static_cast<double>(state_.correct) / static_cast<double>(state_.seen);
  }

  void show_progress(double seconds_left) {
    reporter_.progress({.epoch = (state_.step - 1) / steps_per_epoch_ + 1,
                        .epochs = options_.epochs,
                        .step = (state_.step - 1) % steps_per_epoch_ + 1,
                        .steps = steps_per_epoch_,
                        .loss = mean_loss(),
                        .accuracy = train_accuracy(),
                        .seconds_left = seconds_left});
  }

  void finish_epoch(TrainResult& result) {
    const std::int64_t epoch = state_.step / steps_per_epoch_;
    result.test_accuracy = test_accuracy();
    log_.add_epoch(epoch, state_.step, mean_loss(), train_accuracy(), result.test_accuracy);
    reporter_.line(fmt::format(
        "epoch {}/{}: loss {:.4f}, training accuracy {:.2f} %, test accuracy {:.2f} %", epoch,
        options_.epochs, mean_loss(), 100 * train_accuracy(), 100 * result.test_accuracy));
    save_checkpoint();
  }

  void save_checkpoint() {
    write_checkpoint(files_.checkpoint, network_, state_);
    log_.write();
  }

  void finish() {
    const StateDict state = to_state_dict(network_);
    save_checkpoint();
    write_pt(files_.state_pt, state);
    write_file_atomically(files_.state_safetensors,
                          std::span<const std::byte>(to_safetensors(state)));
    reporter_.line(fmt::format("wrote {} and {}", files_.state_pt.string(),
                               files_.state_safetensors.string()));
  }

  const TrainOptions& options_;
  OutputFiles files_;
  Reporter reporter_;
  JsonLog log_;
  GraphInput input_;
  OptimizerKind kind_;
  Network network_;
  datasets::Dataset dataset_;
  std::int64_t steps_per_epoch_ = 0;
  std::vector<std::pair<std::string, torch::Tensor>> trainable_;
  TrainingState state_;
  std::vector<std::int64_t> order_;
  std::int64_t shuffled_epoch_ = -1;
};

void remove_old_states(const OutputFiles& files) {
  remove_old_output(files.state_pt);
  remove_old_output(files.state_safetensors);
}

}  // namespace

// Old outputs must not look new. What a resumed run goes on from is read before anything is
// removed, so a mistyped option costs nothing, and its checkpoint and log are only ever replaced.
TrainResult train_network(const Graph& graph, const TrainOptions& options) {
  require_options(graph, options);
  std::error_code error;
  fs::create_directories(options.out, error);
  if (error || !fs::is_directory(options.out))
    throw InputError(fmt::format("{}: cannot make the output folder: {}", options.out.string(),
                                 error ? error.message() : "something else has that name"));
  const OutputFiles files(options.out);
  if (options.resume.empty()) {
    remove_old_states(files);
    remove_old_output(files.log);
    remove_old_output(files.checkpoint);
  }
  if (options.threads > 0) at::set_num_threads(options.threads);
  Training training(graph, options);
  remove_old_states(files);
  return training.run();
}

}  // namespace lockstep::train
