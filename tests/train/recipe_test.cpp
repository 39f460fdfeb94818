// recipe.json: what it may say, what it means, and that optimizers and schedules are torch's.
#include "train/recipe.h"

#include <doctest/doctest.h>
#include <sys/wait.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>

#include "compile/support/error.h"
#include "compile/support/files.h"
#include "tests/support/input_error.h"
#include "tests/support/temporary_folder.h"
#include "train/datasets/random.h"

using namespace lockstep::train;
using lockstep::test::contains;
using lockstep::test::input_error_of;
using lockstep::test::TemporaryFolder;
using nlohmann::json;

namespace {

std::string recipe_with(const std::string& members) {
  return std::string(R"({"format": "lockstep-recipe", "version": 1)") +
         (members.empty() ? "" : ", ") + members + "}";
}

Recipe parse(const std::string& members) { return parse_recipe(recipe_with(members), "r.json"); }

std::string refusal(const std::string& members) {
  return input_error_of([&] { parse(members); });
}

// 32 steps of 21 values, on gradients that change sign and size.
json record_optimizer(const std::string& optimizer) {
  const OptimizerSpec spec = parse("\"optimizer\": " + optimizer).optimizer;
  Random random(7);
  const auto draw = [&] { return static_cast<float>(random.below(2'000'001) - 1'000'000) * 1e-6f; };
  std::vector<float> parameter(21), gradient(21);
  for (float& value : parameter) value = draw();
  json recorded = {
      {"optimizer", json::parse(to_json(parse("\"optimizer\": " + optimizer))).at("optimizer")},
      {"initial", parameter}};
  OptimizerState state = initial_state(spec, parameter.size());
  for (std::int64_t step = 1; step <= 32; ++step) {
    for (float& value : gradient) value = draw() * (step % 5 == 0 ? 100.0f : 0.1f);
    CHECK(optimizer_step(spec, step, spec.learning_rate, parameter, gradient,
                         slice(state, 0, parameter.size())));
    recorded["gradients"].push_back(gradient);
    recorded["parameters"].push_back(parameter);
  }
  return recorded;
}

json record_schedule(const std::string& schedule, std::int64_t steps,
                     std::int64_t steps_per_epoch) {
  const Recipe recipe = parse("\"schedule\": " + schedule);
  constexpr double kRate = 0.3;
  json recorded = {{"schedule", json::parse(to_json(recipe)).at("schedule")},
                   {"lr", kRate},
                   {"steps", steps},
                   {"steps_per_epoch", steps_per_epoch}};
  for (std::int64_t step = 0; step < steps; ++step)
    recorded["rates"].push_back(
        scheduled_learning_rate(recipe.schedule, kRate, step, steps, steps_per_epoch));
  return recorded;
}

}  // namespace

TEST_CASE("optimizers and schedules are those of torch.optim, up to rounding") {
  json recorded;
  for (const char* const optimizer :
       {R"({"type": "sgd", "lr": 0.1})", R"({"type": "sgd", "momentum": 0.9})",
        R"({"type": "sgd", "lr": 0.05, "momentum": 0.8, "nesterov": true, "weight_decay": 0.03})",
        R"({"type": "adam"})", R"({"type": "adam", "lr": 0.02, "beta1": 0.5, "beta2": 0.9,
                                   "eps": 1e-3, "weight_decay": 0.1})",
        R"({"type": "adamw"})", R"({"type": "adamw", "lr": 0.1, "weight_decay": 0.5})",
        R"({"type": "adadelta"})",
        R"({"type": "adadelta", "lr": 0.5, "rho": 0.8, "eps": 1e-4, "weight_decay": 0.2})"})
    recorded["optimizers"].push_back(record_optimizer(optimizer));
  for (const char* const schedule :
       {R"({"type": "constant"})", R"({"type": "constant", "warm_up": 0.25})",
        R"({"type": "step", "step_size": 2, "gamma": 0.3})",
        R"({"type": "step", "warm_up": 0.1, "step_size": 3, "gamma": 0.5})",
        R"({"type": "cosine"})", R"({"type": "cosine", "warm_up": 0.02, "end_factor": 0.01})",
        R"({"type": "one_cycle"})",
        R"({"type": "one_cycle", "pct_start": 0.1, "div_factor": 5, "final_div_factor": 100})"})
    recorded["schedules"].push_back(record_schedule(schedule, 120, 12));
  recorded["schedules"].push_back(record_schedule(R"({"type": "cosine", "warm_up": 0.5})", 7, 3));

  const TemporaryFolder folder;
  lockstep::write_file_atomically(folder / "recorded.json", recorded.dump());
  const std::string command = "/usr/bin/python3 " LOCKSTEP_TEST_DATA "/train/torch_optim.py " +
                              (folder / "recorded.json").string();
  const int status = std::system(command.c_str());
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);  // 77: /usr/bin/python3 has no torch (install python3-torch)
}

TEST_CASE("a step to a value that is not finite is reported") {
  for (const char* const name : {"adadelta", "adam", "adamw", "sgd"}) {
    CAPTURE(name);
    const OptimizerSpec spec = default_optimizer(parse_optimizer(name));
    std::vector<float> x = {3.0f, -2.0f};
    OptimizerState state = initial_state(spec, 2);
    CHECK(optimizer_step(spec, 1, 0.02, x, std::vector<float>{0.5f, 1.0f},
                         slice(state, 0, x.size())));
    const std::vector<float> bad = {0.0f, std::numeric_limits<float>::infinity()};
    CHECK(!optimizer_step(spec, 2, 0.02, x, bad, slice(state, 0, x.size())));
  }
}

TEST_CASE("schedules of one step, of warm-up alone and without a rising part have rates") {
  const auto rate = [](const std::string& schedule, std::int64_t step, std::int64_t steps) {
    return scheduled_learning_rate(parse("\"schedule\": " + schedule).schedule, 1.0, step, steps,
                                   1);
  };
  for (const char* const type : {"constant", "cosine", "step", "one_cycle"})
    CHECK(rate(std::string(R"({"type": ")") + type + "\"}", 0, 1) == 1.0);
  CHECK(rate(R"({"type": "cosine", "warm_up": 1})", 3, 4) == 1.0);
  CHECK(rate(R"({"type": "cosine", "warm_up": 1})", 0, 4) == 0.25);
  CHECK(rate(R"({"type": "one_cycle", "pct_start": 0})", 0, 4) == 1.0);
  CHECK(rate(R"({"type": "one_cycle", "pct_start": 1})", 3, 4) == 1.0);
}

TEST_CASE("members left out have defaults, those of their type where they have one") {
  CHECK(parse("") == Recipe());
  const Recipe plain;
  CHECK(plain.schedule.kind == ScheduleKind::kCosine);
  const Recipe adadelta = parse(R"("optimizer": {"type": "adadelta"})");
  CHECK(adadelta.optimizer.learning_rate == 1.0);
  CHECK(adadelta.optimizer.epsilon == 1e-6);
  CHECK(adadelta.schedule == plain.schedule);
  CHECK(parse(R"("schedule": {"type": "cosine"})").schedule.warm_up == 0);
  CHECK(parse(R"("seed": 18446744073709551615)").seed == 18446744073709551615u);
}

TEST_CASE("a recipe that is written reads back as it was, and writes the same text again") {
  for (const char* const members :
       {"", R"("epochs": 7, "batch_size": 32, "seed": 3, "label_smoothing": 0.1)",
        R"("optimizer": {"type": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": true})",
        R"("schedule": {"type": "one_cycle", "pct_start": 0.25})",
        R"("schedule": {"type": "step", "step_size": 5, "gamma": 0.1, "warm_up": 0.1})",
        R"("augmentation": {"flip": 0.5, "shift": 2, "crop_padding": 4, "fill": -3})"}) {
    CAPTURE(members);
    const Recipe recipe = parse(members);
    const std::string text = to_json(recipe);
    CHECK(parse_recipe(text, "again") == recipe);
    CHECK(to_json(parse_recipe(text, "again")) == text);
  }
}

TEST_CASE(
    "what a recipe must not say is refused with the member, the value and the values allowed") {
  CHECK(input_error_of([] { parse_recipe("{", "r.json"); }).starts_with("r.json: "));
  CHECK(input_error_of([] { parse_recipe("[]", "r.json"); }) ==
        "r.json: a recipe must be an object, not []");
  CHECK(input_error_of([] { parse_recipe("{}", "r.json"); }) == "r.json: 'format' is missing");
  CHECK(contains(input_error_of([] {
                   parse_recipe(R"({"format": "lockstep-graph", "version": 1})", "r.json");
                 }),
                 "format = \"lockstep-graph\", but it must be \"lockstep-recipe\""));
  CHECK(contains(input_error_of([] {
                   parse_recipe(R"({"format": "lockstep-recipe", "version": 2})", "r.json");
                 }),
                 "version = 2, but only the integer 1 is supported"));
  CHECK(contains(refusal(R"("epoch": 3)"), "r.json: unknown \"epoch\"; allowed: augmentation, "));
  CHECK(contains(refusal(R"("epochs": 3, "epochs": 4)"), "epochs"));
  CHECK(
      contains(refusal(R"("epochs": 0)"), "r.json: epochs = 0, but it must be an integer from 1"));
  CHECK(contains(refusal(R"("epochs": 2.5)"), "epochs = 2.5"));
  CHECK(contains(refusal(R"("batch_size": 2147483648)"), "from 1 to 2147483647"));
  CHECK(contains(refusal(R"("seed": -1)"), "seed = -1"));
  CHECK(contains(refusal(R"("seed": 1.5)"), "seed = 1.5"));
  CHECK(contains(refusal(R"("label_smoothing": 1.5)"), "label_smoothing = 1.5"));
  CHECK(contains(refusal(R"("optimizer": "sgd")"), "r.json: optimizer: it must be an object"));
  CHECK(contains(refusal(R"("optimizer": {})"), "r.json: optimizer: 'type' is missing"));
  CHECK(refusal(R"("optimizer": {"type": "lion"})") ==
        "r.json: optimizer: type = \"lion\", but it must be one of adadelta, adam, adamw, sgd");
  CHECK(contains(refusal(R"("optimizer": {"type": "sgd", "beta1": 0.9})"),
                 "r.json: optimizer: unknown \"beta1\"; allowed: lr, momentum, nesterov, type, "
                 "weight_decay"));
  CHECK(contains(refusal(R"("optimizer": {"type": "adam", "beta2": 1})"), "beta2 = 1, but"));
  CHECK(contains(refusal(R"("optimizer": {"type": "adam", "lr": 0})"), "optimizer: lr = 0, but"));
  CHECK(contains(refusal(R"("optimizer": {"type": "adam", "lr": 1e39})"), "lr = 1e+39, but"));
  CHECK(contains(refusal(R"("optimizer": {"type": "adam", "lr": "fast"})"), "lr = \"fast\", but"));
  CHECK(refusal(R"("optimizer": {"type": "sgd", "nesterov": true})") ==
        "r.json: optimizer: nesterov = true, but it needs a momentum above 0");
  CHECK(contains(refusal(R"("schedule": {"type": "linear"})"),
                 "schedule: type = \"linear\", but it must be one of constant, cosine, one_cycle, "
                 "step"));
  CHECK(contains(refusal(R"("schedule": {"type": "one_cycle", "warm_up": 0.1})"),
                 "schedule: unknown \"warm_up\""));
  CHECK(contains(refusal(R"("schedule": {"type": "step", "step_size": 0})"), "step_size = 0"));
  CHECK(contains(refusal(R"("schedule": {"type": "cosine", "warm_up": 2})"), "warm_up = 2"));
  CHECK(contains(refusal(R"("augmentation": {"rotate": 3})"), "augmentation: unknown \"rotate\""));
  CHECK(contains(refusal(R"("augmentation": {"flip": 2})"), "augmentation: flip = 2"));
  CHECK(contains(refusal(R"("augmentation": {"shift": -1})"), "augmentation: shift = -1"));
}

TEST_CASE("the recipes of the pages and of the examples are recipes") {
  const std::filesystem::path docs =
      std::filesystem::path(LOCKSTEP_TEST_DATA).parent_path() / "docs";
  CHECK(read_recipe(docs / "examples" / "fashion_mnist" / "recipe.json").epochs == 15);
  for (const char* const page : {"formats.md", "guide/training.md"}) {
    CAPTURE(page);
    const std::string text = lockstep::read_text_file(docs / page);
    const std::size_t begin = text.find("{\"format\": \"lockstep-recipe\"");
    REQUIRE(begin != std::string::npos);
    const std::string recipe = text.substr(begin, text.find("```", begin) - begin);
    CHECK(parse_recipe(recipe, page).optimizer.nesterov);
  }
}

TEST_CASE("a recipe that is cut or has a changed byte is refused by its name, or is a valid one") {
  const std::string good =
      recipe_with(R"("seed": 3, "optimizer": {"type": "sgd", "momentum": 0.9, "nesterov": true},
        "schedule": {"type": "step", "gamma": 0.5}, "augmentation": {"fill": -5, "shift": 1})");
  CHECK(input_error_of([&] { parse_recipe(good, "r.json"); }) == "(no error)");
  const auto check = [](const std::string& text) {
    CAPTURE(text);
    std::string error = "(no error)";
    try {
      require_valid(parse_recipe(text, "r.json"));
    } catch (const lockstep::InputError& refused) {
      error = refused.what();
    }
    const bool is_named = error == "(no error)" || error.starts_with("r.json: ");
    CHECK(is_named);
    CHECK(error.find('\n') == std::string::npos);
    return error;
  };
  for (std::size_t length = 0; length < good.size(); ++length)
    CHECK(check(good.substr(0, length)) != "(no error)");
  for (std::size_t at = 0; at < good.size(); ++at)
    for (const char byte : {'\0', '"', '{', '-', '9', 'e', '\\', '\x80'}) {
      std::string changed = good;
      changed[at] = byte;
      check(changed);
    }
}

TEST_CASE("values that were set in code are held to the same ranges") {
  Recipe recipe;
  CHECK(input_error_of([&] { require_valid(recipe); }) == "(no error)");
  recipe.optimizer.learning_rate = -1;
  CHECK(contains(input_error_of([&] { require_valid(recipe); }), "optimizer: lr = -1.0, but"));
  recipe.optimizer.learning_rate = std::nan("");
  CHECK(contains(input_error_of([&] { require_valid(recipe); }), "optimizer: lr = null, but"));
}

TEST_CASE("the first difference of two recipes has a name") {
  Recipe a, b;
  CHECK(first_difference(a, b).member.empty());
  b.optimizer.learning_rate = 0.5;
  b.seed = 9;
  CHECK(first_difference(a, b).member == "seed");
  b.seed = a.seed;
  CHECK(first_difference(a, b).member == "optimizer.lr");
  CHECK(first_difference(a, b).a == "0.001");
  CHECK(first_difference(a, b).b == "0.5");
  b = a;
  b.augmentation.fill = 3;
  CHECK(first_difference(a, b).member == "augmentation.fill");
  CHECK(first_difference(a, b).a == "none");
}
