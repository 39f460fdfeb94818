// One table says which members an object of graph.json may have, which values, and what stands for
// those that are left out. docs/formats.md is where it comes from.
#include <algorithm>
#include <cmath>
#include <set>

#include "verify/checker/files.h"

namespace lockstep::checker {
namespace {

using nlohmann::json;

// Names of operators and their attributes: [kind, least, most, default, word that is allowed, too].
// Without a default an attribute is required; null stands for nothing. Kinds: spatial is an integer
// for each spatial axis or one for all, "list 24" has two or four integers, and with 1 first an
// integer will do; a word is one of `least`, a choice has one of the members `least`, and a text as
// default of a spatial one names the attribute that has it.
constexpr std::string_view kTable = R"({
"conv1d conv2d conv_transpose1d conv_transpose2d": {
  "in_channels": ["integer", 1, 65536], "out_channels": ["integer", 1, 65536], "groups": ["integer", 1, 65536, 1],
  "kernel_size": ["spatial", 1, 65536], "stride": ["spatial", 1, 65536, 1], "padding": ["spatial", 0, 65536, 0],
  "dilation": ["spatial", 1, 65536, 1], "bias": ["flag", 0, 1, true]},
"conv_transpose1d conv_transpose2d": {"output_padding": ["spatial", 0, 65536, 0]},
"linear": {"in_features": ["integer", 1, 65536], "out_features": ["integer", 1, 65536], "bias": ["flag", 0, 1, true]},
"batch_norm1d batch_norm2d": {
  "num_features": ["integer", 1, 65536], "eps": ["number", 0, 1, 1e-5], "momentum": ["number", 0, 1, 0.1]},
"relu relu6 hard_sigmoid hard_swish tanh sigmoid silu gelu identity add sub mul": {},
"leaky_relu": {"negative_slope": ["number", -65536, 65536, 0.01]},
"elu": {"alpha": ["number", -65536, 65536, 1]},
"softplus": {"beta": ["number", 0.0001, 65536, 1], "threshold": ["number", -65536, 65536, 20]},
"max_pool1d max_pool2d avg_pool1d avg_pool2d": {
  "kernel_size": ["spatial", 1, 65536], "stride": ["spatial", 1, 65536, "kernel_size"],
  "padding": ["spatial", 0, 65536, 0], "ceil_mode": ["flag", 0, 1, false]},
"max_pool1d max_pool2d": {"dilation": ["spatial", 1, 65536, 1]},
"avg_pool1d avg_pool2d": {"count_include_pad": ["flag", 0, 1, true]},
"adaptive_avg_pool1d adaptive_avg_pool2d": {"output_size": ["spatial", 1, 65536]},
"upsample": {"scale_factor": ["list 12", 1, 64], "mode": ["word", "nearest bilinear", 0, "nearest"]},
"pixel_shuffle": {"upscale_factor": ["integer", 1, 65536]},
"pixel_unshuffle": {"downscale_factor": ["integer", 1, 65536]},
"flatten": {"start_dim": ["integer", 1, 1, 1], "end_dim": ["integer", -1, -1, -1]},
"reshape": {"shape": ["list 123", -1, 1099511627776]},
"transpose": {"dim0": ["integer", 1, 3], "dim1": ["integer", 1, 3]},
"slice": {"dim": ["integer", 1, 3, 1], "start": ["integer", 0, 1099511627776, 0],
  "end": ["integer", 0, 1099511627776, 1099511627776], "step": ["integer", 1, 1099511627776, 1]},
"pad": {"padding": ["list 24", 0, 65536], "mode": ["word", "zeros reflect replicate", 0, "zeros"]},
"concat": {"dim": ["integer", 1, 3, 1]},
"argmax softmax log_softmax": {"dim": ["integer", 1, 1, 1]},
"dropout": {"p": ["number", 0, 1, 0.5]},
"quantize quantize_wrap": {
  "bits": ["integer", 2, 16, 8], "channelwise": ["integer", -2147483647, 3, 1],
  "decimal_range": ["list 2", -64, 65, [0, 20]], "saturate_range": ["range", 0, 1, [0, 1]],
  "timeout": ["integer", -2147483647, 2147483647, 1000], "interval": ["integer", -2147483647, 2147483647, -1],
  "window_size": ["integer", 1, 2147483647, 1],
  "rounding": ["word", "toward_zero floor half_even", 0, "toward_zero"]},
"quantize_wrap": {"bias_bits": ["integer", -1, 32, -1], "type": ["any"]},
"prune prune_wrap": {
  "sparsity": ["number", 0, 1, 0.5], "start": ["integer", -2147483647, 2147483647, 1000],
  "interval": ["integer", 1, 2147483647, 1000], "repetition": ["integer", 0, 2147483647, 4],
  "window_size": ["integer", 1, 2147483647, 1], "strict": ["flag", 0, 1, true],
  "collapse": ["integer", -1, 3, null, "auto"],
  "callback": ["choice", {"structured": ["list 01234", 0, 3, null], "block": ["list 1234", 1, 65536, null]},
    0, null, "unstructured"]},
"prune_wrap": {"type": ["any"]},
"a_graph": {"format": ["word", "lockstep-graph"], "version": ["integer", 1, 1], "name": ["name"],
  "inputs": ["any"], "nodes": ["any"], "outputs": ["any"]},
"an_input": {"name": ["name"], "shape": ["list 321", 1, 65536], "bits": ["integer", 2, 16, 8],
  "decimal": ["integer", -64, 64, 7], "raw": ["any", 0, 0, null]},
"raw": {"scale": ["any", 0, 0, null], "mean": ["any", 0, 0, null], "std": ["any", 0, 0, null]},
"a_node": {"name": ["name"], "op": ["any"], "inputs": ["any"], "attrs": ["any", 0, 0, null], "wrap": ["any", 0, 0, null]}
})";
// Of the table, but no operators.
constexpr std::string_view kOthers = "quantize_wrap prune_wrap a_graph an_input raw a_node";

// The attributes of `name`; null if there is no such row.
json rules_of(std::string_view name) {
  static const json kRows = json::parse(kTable);
  json rules;
  for (const auto& [names, row] : kRows.items())
    if (has_word(names, name)) rules.update(row);
  return rules;
}

class Reader {
 public:
  explicit Reader(const std::string& file) : file_(file), where_(file) {}

  Model read(const json& root) {
    Model& model = model_;
    model.name = read_members(root, rules_of("a_graph")).words["name"];
    for (const json& input : list_of(root["inputs"], "inputs")) {
      where_ = fmt::format("{}: inputs[{}]", file_, model.inputs.size());
      read_input(input);
    }
    for (const json& node : list_of(root["nodes"], "nodes")) {
      where_ = fmt::format("{}: nodes[{}]", file_, model.nodes.size());
      read_node(node);
    }
    where_ = file_;
    std::set<std::size_t> seen;
    for (const json& output : list_of(root["outputs"], "outputs")) {
      model.outputs.push_back(value_of(output));
      if (model.outputs.back() < model.inputs.size() || !seen.insert(model.outputs.back()).second)
        fail("output {} must be a node, and named once", shown(output));
    }
    return std::move(model_);
  }

 private:
  template <typename... Arguments>
  [[noreturn]] void fail(fmt::format_string<Arguments...> text, Arguments&&... arguments) const {
    refuse("{}: {}", where_, fmt::format(text, std::forward<Arguments>(arguments)...));
  }
  void require(bool is_allowed, std::string_view name, const json& value, std::string what) const {
    if (!is_allowed) fail("{} = {}, but it must be {}", name, shown(value), what);
  }

  const json& list_of(const json& value, std::string_view name) const {
    require(value.is_array() && value.size() <= 65536 && !value.empty(), name, value,
            "a list of 1 to 65536");
    return value;
  }
  double number_of(const json& value, std::string_view name, double least, double most) const {
    const double number = value.is_number() ? value.get<double>() : NAN;
    if (!(number >= least && number <= most))
      fail("{} = {}, but it must be a number from {} to {}", name, shown(value), least, most);
    return number;
  }

  // An integer or, of a spatial attribute or a list, integers.
  void read_integers(const json& value, const std::string& name, const json& rule,
                     Node& node) const {
    const std::string kind = rule[0];
    const std::size_t axes = kind != "spatial" ? 0 : node.op.ends_with("1d") ? 1 : 2;
    const std::string lengths = axes != 0 ? fmt::to_string(axes) : kind.substr(kind.find(' ') + 1);
    require(value.is_array()
                ? value.size() < 5 && lengths.find(fmt::to_string(value.size())) != lengths.npos
                : axes != 0 || kind == "integer" || lengths[0] == '1',
            name, value,
            axes != 0           ? "an integer, or one for each spatial axis"
            : kind == "integer" ? kind
                                : fmt::format("a list of {}", fmt::join(lengths, " or ")));
    std::vector<Int>& integers = node.integers[name];
    for (const json& one : value.is_array() ? value : json(std::max<std::size_t>(axes, 1), value)) {
      const double number = number_of(one, name, rule[1], rule[2]);
      // JSON has one kind of number: 3.0 is an integer. All limits are far below 2^53.
      require(std::trunc(number) == number, name, one, "an integer");
      integers.push_back(static_cast<Int>(number));
    }
    if (axes == 1) integers.insert(integers.begin(), rule[1].get<Int>());  // the height of one row
  }

  void read_member(const json& value, const std::string& name, const json& rule, Node& node) const {
    const std::string kind = rule[0], word = value.is_string() ? value.get<std::string>() : "";
    const auto is_bad = [](unsigned char c) { return c < 0x20 || c == 0x7f || c == '/'; };
    if (kind == "number") node.numbers[name] = number_of(value, name, rule[1], rule[2]);
    if (kind == "choice") {
      require(value.is_object() && value.size() == 1, name, value, "an object of one member");
      node = read_members(value, rule[1], std::move(node));
    }
    if (kind == "integer" || kind == "spatial" || kind.starts_with("list"))
      read_integers(value, name, rule, node);
    if (kind == "flag") {
      require(value.is_boolean(), name, value, "true or false");
      node.integers[name] = {value.get<bool>() ? 1 : 0};
    }
    if (kind == "name")  // it becomes a file's name and the beginning of keys
      require(!word.empty() && word.size() < 252 && std::ranges::none_of(word, is_bad), name, value,
              "1 to 251 bytes, without '/' and control characters");
    if (kind == "word")
      require(has_word(rule[1].get<std::string>(), word), name, value, "one of " + shown(rule[1]));
    if (kind == "name" || kind == "word") node.words[name] = word;
    if (kind == "range")
      require(value.is_array() && value.size() == 2 &&
                  number_of(value[0], name, 0, 1) <= number_of(value[1], name, 0, 1),
              name, value, "two numbers in order");
  }

  // `node` with the members of `object`, which has no others, and with defaults.
  Node read_members(const json& object, const json& rules, Node node = {}) const {
    if (!object.is_object()) fail("there must be an object, not {}", shown(object));
    for (const auto& [name, value] : object.items())
      if (!rules.contains(name)) fail("unknown {}", shown(name));
    for (const auto& [name, rule] : rules.items()) {
      const bool is_given = object.contains(name);
      if (!is_given && rule.size() < 4) fail("'{}' is missing", name);
      const json* value = is_given ? &object[name] : &rule[3];
      if (!is_given && rule[0] == "spatial" && value->is_string())
        value = &object[value->get<std::string>()];  // required, so it is there
      if ((is_given || !value->is_null()) && (rule.size() < 5 || *value != rule[4]))
        read_member(*value, name, rule, node);
    }
    return node;
  }

  // What the attributes of one operator must be together.
  void check_attributes(Node& node) const {
    const auto list = [&](std::string_view name) {
      return node.integers.contains(name) ? node.list(name) : std::vector<Int>();
    };
    const auto check = [&](bool is_allowed, std::string_view name, std::string what) {
      require(is_allowed, name, list(name), std::move(what));
    };
    std::vector<Int> padding = list("padding"), more = list("output_padding"),
                     decimals = list("decimal_range"), axes = list("structured"),
                     shape = list("shape");
    for (std::size_t i = 0; i < padding.size() && node.op.find("_pool") != std::string::npos; ++i)
      check(padding[i] <= node.list("kernel_size")[i] / 2, "padding",
            "at most half of kernel_size");
    for (std::size_t i = 0; i < more.size(); ++i)
      check(more[i] < std::max(node.list("stride")[i], node.list("dilation")[i]), "output_padding",
            "below the larger of stride and dilation");
    for (const Int groups : list("groups"))
      check(node.integer("in_channels") % groups + node.integer("out_channels") % groups == 0,
            "groups", "a divisor of in_channels and of out_channels");
    for (const Int bits : list("bias_bits"))
      check(bits != 0 && bits != 1, "bias_bits", "-1 or 2 to 32");
    check(decimals.empty() || decimals[0] < decimals[1], "decimal_range", "two that rise");
    std::ranges::sort(axes);
    check(std::ranges::adjacent_find(axes) == axes.end(), "structured", "of axes that differ");
    check(std::ranges::count(shape, 0) == 0 && std::ranges::count(shape, -1) < 2, "shape",
          "sizes of at least 1; one may be -1");
    if (node.op == "pad") node.integers["padding"].resize(4, 0);
    if (node.op == "upsample")
      node.integers["scale_factor"].resize(2, node.integer("scale_factor"));
  }
  Node read_attributes(const json& object, const std::string& op, const std::string& row) const {
    Node node;
    node.op = op;
    node = read_members(object, rules_of(row), std::move(node));
    check_attributes(node);
    return node;
  }

  void add_value(const std::string& name) {
    if (!values_.emplace(name, values_.size()).second)
      fail("two nodes or inputs have the name '{}'", name);
  }
  std::size_t value_of(const json& name) const {
    const auto found = values_.find(name.is_string() ? name.get<std::string>() : "");
    if (found == values_.end())
      fail("{} is no input of the graph and no earlier node", shown(name));
    return found->second;
  }

  void read_input(const json& object) {
    Node node = read_members(object, rules_of("an_input"));
    Input input = {node.words["name"],
                   node.list("shape"),
                   static_cast<int>(node.integer("bits")),
                   static_cast<int>(node.integer("decimal")),
                   {}};
    where_ = fmt::format("{}: input '{}'", file_, input.name);
    if (object.contains("raw")) input.raw = read_raw(object["raw"], input);
    add_value(input.name);
    model_.inputs.push_back(std::move(input));
  }

  RawBytes read_raw(const json& object, const Input& input) const {
    read_members(object, rules_of("raw"));
    // One number for all channels, or one for each.
    const auto numbers = [&](const char* name, double least, double most, double otherwise) {
      const json value = object.value(name, json(otherwise));
      require(!value.is_array() || static_cast<Int>(value.size()) == input.shape[0], name, value,
              "a number, or one for each channel");
      std::vector<double> result;
      for (const json& one : value.is_array() ? value : json::array({value}))
        result.push_back(number_of(one, name, least, most));
      return result;
    };
    const std::vector<double> mean = numbers("mean", -1e30, 1e30, 0),
                              std = numbers("std", 1e-30, 1e30, 1);
    RawBytes raw = {numbers("scale", 1e-30, 1e30, 1.0 / 255),
                    {mean.begin(), mean.end()},
                    {std.begin(), std.end()}};
    for (std::size_t i = 0; i < 256 * std::max({raw.scale.size(), mean.size(), std.size()}); ++i) {
      const std::size_t c = i / 256;
      const double scaled = static_cast<double>(i % 256) * raw.scale[c % raw.scale.size()];
      const float moved = static_cast<float>(scaled) - raw.mean[c % mean.size()];
      const double value = moved / raw.std[c % std.size()];
      if (!(std::ldexp(std::fabs(value), input.decimal) < 0x1p31))
        fail("byte {} of channel {} is {}, which times 2^{} leaves 32 bits", i % 256, c, value,
             input.decimal);
    }
    return raw;
  }

  void read_node(const json& object) {
    const std::string name = read_members(object, rules_of("a_node")).words["name"];
    where_ = fmt::format("{}: layer '{}'", file_, name);
    const std::string op = object["op"].is_string() ? object["op"].get<std::string>() : "";
    if (rules_of(op).is_null() || has_word(kOthers, op))
      fail("there is no operator {}", shown(object["op"]));
    Node node = read_attributes(object.value("attrs", json::object()), op, op);
    node.name = name;
    for (const json& input : list_of(object["inputs"], "inputs"))
      node.inputs.push_back(value_of(input));
    if (op != "concat" && node.inputs.size() != (has_word("add sub mul", op) ? 2 : 1))
      fail("{} does not take {} inputs", op, node.inputs.size());
    read_wraps(object.value("wrap", json::array()), node);
    add_value(name);
    model_.nodes.push_back(std::move(node));
  }

  void read_wraps(const json& list, Node& node) const {
    const bool has_weight = node.op.starts_with("conv") || node.op == "linear";
    const Int rank = node.op == "linear" ? 2 : node.op.ends_with("1d") ? 3 : 4;
    require(list.is_array() && (has_weight || list.empty()), "wrap", list,
            "a list, and empty for a layer without a weight");
    for (const json& object : list) {
      const json member = object.is_object() ? object.value("type", json()) : json();
      const std::string type = member.is_string() ? member.get<std::string>() : "";
      require((type == "prune" || type == "quantize") &&
                  std::ranges::find(node.wraps, type, &Node::op) == node.wraps.end(),
              "wrap", list, "at most one \"prune\" and one \"quantize\"");
      node.wraps.push_back(read_attributes(object, type, type + "_wrap"));
      require(type == "prune" || node.wraps.back().integer("channelwise") < rank, "channelwise",
              object, fmt::format("below {}, the number of the weight's axes", rank));
    }
  }

  const std::string& file_;
  std::string where_;  // where the reader is, for messages
  Model model_;
  std::map<std::string, std::size_t> values_;
};

}  // namespace

Model parse_graph(std::string_view text, const std::string& name) {
  return Reader(name).read(parse_json(text, name, 64, 2'000'000));
}

}  // namespace lockstep::checker
