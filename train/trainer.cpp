// The training loop. Everything that decides a bit of the result - weights, order of the images,
// augmentation, dropout - follows from the seed and the step number, so a resumed run goes on
// exactly as an uninterrupted one.
#include <fmt/format.h>
#include <torch/torch.h>

#include <chrono>
#include <cmath>
#include <optional>

#include "compile/support/error.h"
#include "compile/support/files.h"
#include "train/agreement.h"
#include "train/announcement.h"
#include "train/batches.h"
#include "train/checkpoint.h"
#include "train/class_scores.h"
#include "train/device.h"
#include "train/evaluation.h"
#include "train/network.h"
#include "train/network_state.h"
#include "train/options.h"
#include "train/output_folder.h"
#include "train/parameter_update.h"
#include "train/plain_number.h"
#include "train/process_group.h"
#include "train/process_settings.h"
#include "train/progress.h"
#include "train/seed_streams.h"
#include "train/shared_step.h"
#include "train/train.h"

namespace lockstep::train {
namespace {

using Clock = std::chrono::steady_clock;

std::string start_option(const TrainOptions& options) {
  if (!options.weights.empty()) return "--weights";
  if (!options.state.empty()) return "--state";
  return options.resume.empty() ? "random weights" : "--resume";
}

class Training {
 public:
  // `group` is null where one process trains alone, `files` in a group where another rank writes.
  Training(const Graph& graph, const TrainOptions& options, ProcessGroup* group,
           const OutputFolder* files)
      : options_(options),
        recipe_(options.recipe),
        group_(group),
        files_(files),
        reporter_(options.quiet || files == nullptr),
        log_(files == nullptr ? std::filesystem::path() : files->log),
        network_(graph, recipe_.seed),
        dataset_(datasets::load_dataset(options.data, graph.inputs.at(0), {.seed = recipe_.seed})),
        batches_(dataset_.train, network_.graph().inputs.at(0), recipe_),
        steps_per_epoch_(batches_.steps_per_epoch()),
        trainable_(network_.trainable()) {
    network_.move_to(open_device(options.device));
    require_countable_steps(recipe_, steps_per_epoch_);
    total_steps_ = recipe_.epochs * steps_per_epoch_;
    if (trainable_.empty())
      throw InputError(fmt::format("graph '{}' has nothing to train", graph.name));
    require_gradients(graph);
    start_state(graph);
    if (group_ != nullptr) join_group();
    if (!options.weights.empty())
      load_parameters(network_, state_dict_of_rank_0(options.weights), options.weights.string());
    if (!options.state.empty())
      load_trained_state(network_, state_dict_of_rank_0(options.state), options.state.string(),
                         total_steps_);
    if (!options.resume.empty()) resume();
    // Runs every layer once, so a mask of a wrong shape ends here.
    require_class_outputs(network_, dataset_);
  }

  TrainResult run() {
    announce({.network = network_,
              .dataset = dataset_,
              .recipe = recipe_,
              .steps_per_epoch = steps_per_epoch_,
              .steps_left = total_steps_ - state_.step,
              .threads = state_.threads,
              .processes = state_.world_size},
             reporter_);
    if (files_ != nullptr) write_file_atomically(files_->recipe, to_json(recipe_));
    if (options_.started) options_.started();
    TrainResult result;
    result.test_images = dataset_.test.count();
    const auto begin = Clock::now();
    const std::int64_t first = state_.step;
    while (state_.step < total_steps_) {
      if (must_stop()) {
        save_checkpoint();
        if (group_ != nullptr)
          group_->wait_for_all();  // one that cannot save has the others say so
        result.interrupted = true;
        result.steps = state_.step;
        return result;
      }
      train_step();
      const std::chrono::duration<double> spent = Clock::now() - begin;
      show_progress(spent.count() / static_cast<double>(state_.step - first) *
                    static_cast<double>(total_steps_ - state_.step));
      const bool epoch_is_over = state_.step % steps_per_epoch_ == 0;
      if (epoch_is_over) finish_epoch(result);
      if (epoch_is_over || checkpoint_is_due()) save_checkpoint();
    }
    if (first == total_steps_) {  // resumed from the end of a training
      result.test_accuracy = test_accuracy();
      save_checkpoint();
    }
    finish(result);
    return result;
  }

 private:
  bool interrupted() const { return options_.interrupted != nullptr && *options_.interrupted; }
  // In a group all stop after the same step.
  bool must_stop() const { return group_ == nullptr ? interrupted() : group_was_interrupted_; }
  bool checkpoint_is_due() const {
    return options_.checkpoint_every > 0 && state_.step % options_.checkpoint_every == 0;
  }

  void start_state(const Graph& graph) {
    state_.graph_json = to_json(graph);
    state_.data = options_.data;
    state_.recipe = recipe_;
    state_.threads = at::get_num_threads();
    state_.world_size = options_.group.world_size;
    state_.machine = this_machine(network_.device());
    for (const auto& [key, tensor] : trainable_)
      state_.optimizer_states.push_back(
          initial_state(recipe_.optimizer, static_cast<std::size_t>(tensor.numel())));
  }

  void join_group() {
    require_shareable(network_.graph(), recipe_.batch_size, dataset_.train.count(), group_->size());
    require_same_task(*group_, state_, dataset_, start_option(options_));
    state_.machine = machine_of_all(*group_, state_.machine);
    // Where the data lie may differ between machines; the checkpoint has rank 0's.
    const auto bytes = std::as_bytes(std::span(state_.data));
    const std::vector<std::byte> data = group_->broadcast({bytes.begin(), bytes.end()});
    state_.data.assign(reinterpret_cast<const char*>(data.data()), data.size());
    shared_step_.emplace(*group_, network_, trainable_);
  }

  // Only rank 0 needs to have the file.
  StateDict state_dict_of_rank_0(const std::filesystem::path& path) {
    if (group_ == nullptr) return read_state_dict(path);
    std::vector<std::byte> bytes;
    if (group_->rank() == 0) bytes = to_safetensors(read_state_dict(path));
    return parse_safetensors(group_->broadcast(std::move(bytes)), path.string());
  }

  void resume() {
    TrainingState earlier = load_checkpoint(state_dict_of_rank_0(options_.resume), network_);
    require_same_run(options_.resume, earlier, state_);
    for (const std::string& difference : rounding_differences(options_.resume, earlier, state_)) {
      if (!options_.resume_anyway)
        throw InputError(difference +
                         "; a resumed run must have the same to end in the same bits "
                         "(--resume-anyway goes on without that)");
      reporter_.line("warning: " + difference + ": the bits may differ");
    }
    earlier.threads = state_.threads;
    earlier.world_size = state_.world_size;
    earlier.machine = state_.machine;
    if (earlier.step < 0 || earlier.step > total_steps_)
      throw InputError(fmt::format("{}: made after step {}, but the training has {} steps",
                                   options_.resume.string(), earlier.step, total_steps_));
    state_ = std::move(earlier);
    if (files_ == nullptr) return;
    const std::filesystem::path log = options_.resume.parent_path() / "log.jsonl";
    if (!log_.take_over(log, state_.step))
      reporter_.line(fmt::format("warning: {} is missing; the new log begins after step {}",
                                 log.string(), state_.step));
  }

  // This process's share of `count` things.
  Share my_share(std::int64_t count) const {
    return group_ == nullptr ? Share{0, count} : share_of(count, group_->rank(), group_->size());
  }

  // Each rank drops out others.
  std::uint64_t step_seed() const {
    const std::uint64_t seed = stream_seed(recipe_.seed, SeedStream::kStep, state_.step);
    const bool is_first = group_ == nullptr || group_->rank() == 0;
    return is_first ? seed : mix_seed(seed, static_cast<std::uint64_t>(group_->rank()));
  }

  void train_step() {
    if (state_.step % steps_per_epoch_ == 0)
      state_.loss_sum = 0, state_.correct = 0, state_.seen = 0;
    if (group_ != nullptr) group_->set_activity(fmt::format("in step {}", state_.step + 1));
    torch::manual_seed(step_seed());
    network_.train();
    network_.zero_grad(true);
    const std::int64_t count = batches_.size_of(state_.step);
    const Batch batch = batches_.batch(state_.step, my_share(count));
    std::optional<SharedBatch> shared_batch;
    if (group_ != nullptr) shared_batch.emplace(head_of_shared_batch(*group_, count));
    const torch::Tensor logits = network_.class_scores({batch.images});
    torch::Tensor loss = torch::nn::functional::cross_entropy(
        logits, torch::tensor(batch.labels, torch::kInt64).to(logits.device()),
        torch::nn::functional::CrossEntropyFuncOptions().label_smoothing(recipe_.label_smoothing));
    auto loss_value = loss.item<double>();
    if (!std::isfinite(loss_value)) explain_bad_loss(network_, batch, loss_value, state_.step + 1);
    std::int64_t correct = count_correct(logits, batch.labels);
    if (group_ == nullptr) {
      loss.backward();
    } else {
      // Of the mean over the batch, what this share of it adds.
      const double weight = static_cast<double>(batch.labels.size()) / static_cast<double>(count);
      (loss * weight).backward();
      const SharedStep::Figures figures = shared_step_->exchange(
          weight, {.loss = loss_value * weight, .correct = correct, .interrupted = interrupted()});
      loss_value = figures.loss;
      correct = figures.correct;
      group_was_interrupted_ = figures.interrupted;
    }
    const double rate = scheduled_learning_rate(recipe_.schedule, recipe_.optimizer.learning_rate,
                                                state_.step, total_steps_, steps_per_epoch_);
    ++state_.step;
    update_parameters(rate);
    state_.loss_sum += loss_value * static_cast<double>(count);
    state_.correct += correct;
    state_.seen += count;
    std::vector<std::string>& events = network_.events();
    if (files_ != nullptr) log_.add_step(state_.step, loss_value, rate, events);
    for (const std::string& event : events) reporter_.line(event);
    events.clear();
  }

  void update_parameters(double rate) {
    for (std::size_t i = 0; i < trainable_.size(); ++i) {
      const auto& [key, tensor] = trainable_[i];
      if (update_parameter(recipe_.optimizer, state_.step, rate, tensor,
                           state_.optimizer_states[i]))
        continue;
      const torch::Tensor bad = tensor.detach().masked_select(tensor.isfinite().logical_not());
      throw InputError(
          fmt::format("layer '{}': value {} after step {}; a lower learning rate may help", key,
                      without_nan_sign(bad[0].item<float>()), state_.step));
    }
  }

  double mean_loss() const { return state_.loss_sum / static_cast<double>(state_.seen); }
  double train_accuracy() const {
    return static_cast<double>(state_.correct) / static_cast<double>(state_.seen);
  }

  void show_progress(double seconds_left) {
    reporter_.progress({.epoch = (state_.step - 1) / steps_per_epoch_ + 1,
                        .epochs = recipe_.epochs,
                        .step = (state_.step - 1) % steps_per_epoch_ + 1,
                        .steps = steps_per_epoch_,
                        .loss = mean_loss(),
                        .accuracy = train_accuracy(),
                        .seconds_left = seconds_left});
  }

  double test_accuracy() {
    std::int64_t correct =
        count_recognized(network_, dataset_.test, my_share(dataset_.test.count()));
    if (group_ != nullptr) group_->sum(std::span(&correct, 1));
    return static_cast<double>(correct) / static_cast<double>(dataset_.test.count());
  }

  void finish_epoch(TrainResult& result) {
    const std::int64_t epoch = state_.step / steps_per_epoch_;
    if (group_ != nullptr) {
      group_->set_activity(fmt::format("after step {}", state_.step));
      require_same_state(*group_, network_, state_);
    }
    result.test_accuracy = test_accuracy();
    log_.add_epoch(epoch, state_.step, mean_loss(), train_accuracy(), result.test_accuracy);
    reporter_.line(fmt::format(
        "epoch {}/{}: loss {:.4f}, training accuracy {:.2f} %, test accuracy {:.2f} %", epoch,
        recipe_.epochs, mean_loss(), 100 * train_accuracy(), 100 * result.test_accuracy));
  }

  // The log first: killed in between, it has lines too many, which a resumed run drops.
  void save_checkpoint() {
    if (files_ == nullptr) return;
    log_.write();
    write_checkpoint(files_->checkpoint, network_, state_);
  }

  void finish(TrainResult& result) {
    result.steps = state_.step;
    const StateDict state = to_state_dict(network_);
    result.state_sha256 = sha256_hex(to_safetensors(state));
    if (files_ != nullptr) {
      write_states(state, files_->state_pt, files_->state_safetensors);
      reporter_.line(fmt::format("wrote {} and {}", files_->state_pt.string(),
                                 files_->state_safetensors.string()));
    }
    if (group_ != nullptr) group_->wait_for_all();
  }

  const TrainOptions& options_;
  const Recipe& recipe_;
  ProcessGroup* const group_;
  const OutputFolder* const files_;
  Reporter reporter_;
  JsonLog log_;
  Network network_;
  datasets::Dataset dataset_;
  TrainingBatches batches_;
  std::int64_t steps_per_epoch_, total_steps_ = 0;
  std::vector<std::pair<std::string, torch::Tensor>> trainable_;
  TrainingState state_;
  std::optional<SharedStep> shared_step_;  // of a group
  bool group_was_interrupted_ = false;     // any process of it, up to the last step
};

// Old states go first: they must not look new. A checkpoint, from which they can be made again, and
// its log and recipe stay until everything has been read, so a mistyped option does not cost them;
// those that a resumed run goes on from are only ever replaced.
TrainResult train_with(const Graph& graph, const TrainOptions& options, ProcessGroup* group) {
  std::optional<OutputFolder> files;
  if (options.group.rank == 0) files.emplace(options.out);
  if (files && options.resume.empty()) files->remove_states();
  Training training(graph, options, group, files ? &*files : nullptr);
  if (files && options.resume.empty()) files->remove_all();
  if (files && !options.resume.empty()) files->remove_states();
  return training.run();
}

}  // namespace

TrainResult train_network(const Graph& graph, const TrainOptions& options) {
  require_options(graph, options);
  prepare_process(options.threads);
  if (options.group.world_size == 1) return train_with(graph, options, nullptr);
  ProcessGroup group(options.group);
  try {
    return train_with(graph, options, &group);
  } catch (const std::exception& error) {
    group.leave(error.what());
    throw;
  }
}

}  // namespace lockstep::train
