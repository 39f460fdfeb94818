#include "train/recipe.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "compile/graph/fields.h"
#include "compile/support/error.h"
#include "compile/support/files.h"
#include "compile/support/strict_json.h"

namespace lockstep::train {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 20;
constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
constexpr double kMostBeta = 0.9999999;  // at 1 nothing new would ever count
constexpr double kLeast = 1e-30;
constexpr double kLargest = 1e30;

// One list of the members for reading, writing and checking. A visitor has
//   integer(name, value, lo, hi), number(name, value, lo, hi), flag(name, value).
template <typename Optimizer, typename Visitor>
void visit_optimizer(Optimizer& spec, Visitor& v) {
  v.number("lr", spec.learning_rate, kLeast, kLargest);
  v.number("weight_decay", spec.weight_decay, 0.0, kLargest);
  switch (spec.kind) {
    case OptimizerKind::kSgd:
      v.number("momentum", spec.momentum, 0.0, 1.0);
      v.flag("nesterov", spec.nesterov);
      break;
    case OptimizerKind::kAdam:
    case OptimizerKind::kAdamW:
      v.number("beta1", spec.beta1, 0.0, kMostBeta);
      v.number("beta2", spec.beta2, 0.0, kMostBeta);
      v.number("eps", spec.epsilon, kLeast, kLargest);
      break;
    case OptimizerKind::kAdadelta:
      v.number("rho", spec.rho, 0.0, 1.0);
      v.number("eps", spec.epsilon, kLeast, kLargest);
      break;
  }
}

template <typename Schedule, typename Visitor>
void visit_schedule(Schedule& spec, Visitor& v) {
  if (spec.kind == ScheduleKind::kOneCycle) {
    v.number("pct_start", spec.pct_start, 0.0, 1.0);
    v.number("div_factor", spec.div_factor, 1.0, kLargest);
    v.number("final_div_factor", spec.final_div_factor, kLeast, kLargest);
    return;
  }
  v.number("warm_up", spec.warm_up, 0.0, 1.0);
  if (spec.kind == ScheduleKind::kCosine) v.number("end_factor", spec.end_factor, 0.0, 1.0);
  if (spec.kind == ScheduleKind::kStep) {
    v.integer("step_size", spec.step_size, 1, kMost);
    v.number("gamma", spec.gamma, kLeast, 1.0);
  }
}

template <typename Augmentation, typename Visitor>
void visit_augmentation(Augmentation& spec, Visitor& v) {
  v.number("flip", spec.flip, 0.0, 1.0);
  v.integer("shift", spec.shift, 0, kMost);
  v.integer("crop_padding", spec.crop_padding, 0, kMost);
}

template <typename AnyRecipe, typename Visitor>
void visit_numbers(AnyRecipe& recipe, Visitor& v) {
  v.integer("epochs", recipe.epochs, 1, kMost);
  v.integer("batch_size", recipe.batch_size, 1, kMost);
  v.number("label_smoothing", recipe.label_smoothing, 0.0, 1.0);
}

struct Reader {
  Fields& fields;
  void integer(const char* name, std::int64_t& value, std::int64_t lo, std::int64_t hi) {
    fields.read_integer(name, value, lo, hi);
  }
  void number(const char* name, double& value, double lo, double hi) {
    fields.read_number(name, value, lo, hi);
  }
  void flag(const char* name, bool& value) { fields.read_flag(name, value); }
};

struct Writer {
  ordered_json& object;
  void integer(const char* name, std::int64_t value, std::int64_t, std::int64_t) {
    object[name] = value;
  }
  void number(const char* name, double value, double, double) { object[name] = value; }
  void flag(const char* name, bool value) { object[name] = value; }
};

void require_pairs(const OptimizerSpec& spec, const std::string& owner) {
  if (spec.nesterov && spec.momentum <= 0)
    throw InputError(fmt::format("{}: nesterov = true, but it needs a momentum above 0", owner));
}

// The kind whose name is the member "type".
template <typename Kind, std::size_t count>
Kind read_kind(Fields& fields, const Kind (&kinds)[count], std::string_view (*name_of)(Kind)) {
  const std::string type = fields.text("type");
  std::vector<std::string_view> names;
  for (const Kind kind : kinds) {
    if (name_of(kind) == type) return kind;
    names.push_back(name_of(kind));
  }
  fields.refuse("type", type, fmt::format("it must be one of {}", fmt::join(names, ", ")));
}

// Hands the fields of the object `member`, where there is one, to `read`.
template <typename Read>
void read_object(Fields& recipe, const char* member, Read read) {
  const json* const object = recipe.find(member);
  if (object == nullptr) return;
  Fields fields(*object, fmt::format("{}: {}", recipe.owner(), member), "it");
  read(fields);
  fields.refuse_unknown_members();
}

void read_seed(Fields& fields, std::uint64_t& seed) {
  const json* const found = fields.find("seed");
  if (found == nullptr) return;
  if (!found->is_number_unsigned())
    fields.refuse("seed", *found, "it must be an integer from 0 to 18446744073709551615");
  seed = found->get<std::uint64_t>();
}

ordered_json to_object(const Recipe& recipe) {
  ordered_json object = {{"format", "lockstep-recipe"}, {"version", 1}};
  Writer top{object};
  visit_numbers(recipe, top);
  object["seed"] = recipe.seed;
  ordered_json& optimizer = object["optimizer"];
  optimizer["type"] = optimizer_name(recipe.optimizer.kind);
  Writer into_optimizer{optimizer};
  visit_optimizer(recipe.optimizer, into_optimizer);
  ordered_json& schedule = object["schedule"];
  schedule["type"] = schedule_name(recipe.schedule.kind);
  Writer into_schedule{schedule};
  visit_schedule(recipe.schedule, into_schedule);
  ordered_json& augmentation = object["augmentation"];
  Writer into_augmentation{augmentation};
  visit_augmentation(recipe.augmentation, into_augmentation);
  if (recipe.augmentation.fill) augmentation["fill"] = *recipe.augmentation.fill;
  return object;
}

}  // namespace

Recipe parse_recipe(std::string_view text, const std::string& name_for_errors) {
  const json object = parse_strict_json(text, name_for_errors);
  Fields fields(object, name_for_errors, "a recipe");
  if (fields.text("format") != "lockstep-recipe")
    fields.refuse("format", fields.require("format"), "it must be \"lockstep-recipe\"");
  fields.to_integer(fields.require("version"), "version", 1, 1);
  Recipe recipe;
  Reader top{fields};
  visit_numbers(recipe, top);
  read_seed(fields, recipe.seed);
  read_object(fields, "optimizer", [&](Fields& inner) {
    recipe.optimizer = default_optimizer(read_kind(inner, kOptimizerKinds, optimizer_name));
    Reader reader{inner};
    visit_optimizer(recipe.optimizer, reader);
    require_pairs(recipe.optimizer, inner.owner());
  });
  read_object(fields, "schedule", [&](Fields& inner) {
    recipe.schedule = {};
    recipe.schedule.kind = read_kind(inner, kScheduleKinds, schedule_name);
    Reader reader{inner};
    visit_schedule(recipe.schedule, reader);
  });
  read_object(fields, "augmentation", [&](Fields& inner) {
    Reader reader{inner};
    visit_augmentation(recipe.augmentation, reader);
    if (const json* const fill = inner.find("fill"))
      recipe.augmentation.fill = inner.to_integer(*fill, "fill", -kMost, kMost);
  });
  fields.refuse_unknown_members();
  return recipe;
}

Recipe read_recipe(const std::filesystem::path& path) {
  return parse_recipe(read_text_file(path, kMaxFileBytes), path.string());
}

std::string to_json(const Recipe& recipe) { return to_object(recipe).dump(2) + "\n"; }

// What a file may say and what a caller may ask for are one set: the recipe must read back.
void require_valid(const Recipe& recipe) { parse_recipe(to_json(recipe), "recipe"); }

RecipeDifference first_difference(const Recipe& a, const Recipe& b) {
  const ordered_json first = to_object(a).flatten(), second = to_object(b).flatten();
  const auto value = [](const ordered_json& object, const std::string& key) {
    return object.contains(key) ? shown(json(object[key])) : std::string("none");
  };
  for (const ordered_json* const object : {&first, &second})
    for (const auto& [key, unused] : object->items())
      if (value(first, key) != value(second, key)) {
        std::string member = key.substr(1);
        std::ranges::replace(member, '/', '.');
        return {member, value(first, key), value(second, key)};
      }
  return {};
}

}  // namespace lockstep::train
