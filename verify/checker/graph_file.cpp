// One table says which members an object of graph.json may have, which values, and what stands for
// those that are left out. docs/formats.md is where it comes from.
#include "verify/checker/graph_file.h"

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
// integer will do; a word is one of `least`, a record has the members `least`, and a text as
// default of a spatial one names the attribute that has it.
constexpr std::string_view kOperators = R"({
"conv1d conv2d conv_transpose1d conv_transpose2d": {
  "in_channels": ["integer", 1, 65536], "out_channels": ["integer", 1, 65536], "kernel_size": ["spatial", 1, 65536],
  "stride": ["spatial", 1, 65536, 1], "padding": ["spatial", 0, 65536, 0], "dilation": ["spatial", 1, 65536, 1],
  "groups": ["integer", 1, 65536, 1], "bias": ["flag", 0, 1, true]},
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
"quantize_wrap": {"bias_bits": ["integer", -1, 32, -1]},
"prune prune_wrap": {
  "sparsity": ["number", 0, 1, 0.5], "start": ["integer", -2147483647, 2147483647, 1000],
  "interval": ["integer", 1, 2147483647, 1000], "repetition": ["integer", 0, 2147483647, 4],
  "window_size": ["integer", 1, 2147483647, 1], "strict": ["flag", 0, 1, true],
  "collapse": ["integer", -1, 3, null, "auto"],
  "callback": ["record", {"structured": ["list 01234", 0, 3]}, 0, null, "unstructured"]},
"a_graph": {"format": ["word", "lockstep-graph"], "version": ["integer", 1, 1], "name": ["name"],
  "inputs": ["any"], "nodes": ["any"], "outputs": ["any"]},
"an_input": {"name": ["name"], "shape": ["list 321", 1, 65536], "bits": ["integer", 2, 16, 8],
  "decimal": ["integer", -64, 64, 7], "raw": ["any", 0, 0, null]},
"raw": {"scale": ["any", 0, 0, null], "mean": ["any", 0, 0, null], "std": ["any", 0, 0, null]},
"a_node": {"name": ["name"], "op": ["any"], "inputs": ["any"], "attrs": ["any", 0, 0, null], "wrap": ["any", 0, 0, null]}
})";
// Of the table, but no operators.
constexpr std::string_view kOthers = "quantize_wrap prune_wrap a_graph an_input raw a_node";

bool has_word(std::string_view words, std::string_view word) {
  return word.find(' ') == std::string_view::npos &&
         fmt::format(" {} ", words).find(fmt::format(" {} ", word)) != std::string::npos;
}

// The attributes of `name`; null if there is no such row.
json rules_of(std::string_view name) {
  static const json kTable = json::parse(kOperators);
  json rules;
  for (const auto& [names, row] : kTable.items())
    if (has_word(names, name)) rules.update(row);
  return rules;
}

double number_of(const json& value, double least, double most, const std::string& where) {
  const double number = value.is_number() ? value.get<double>() : NAN;
  if (!(number >= least && number <= most))
    refuse("{} = {}, but it must be a number from {} to {}", where, shown(value), least, most);
  return number;
}

// JSON has one kind of number: 3.0 is an integer. All limits are far below 2^53.
std::vector<Int> integers_of(const json& list, const json& rule, const std::string& where) {
  std::vector<Int> result;
  for (const json& one : list) {
    const double number = number_of(one, rule[1], rule[2], where);
    if (std::trunc(number) != number)
      refuse("{} = {}, but it must be an integer", where, shown(one));
    result.push_back(static_cast<Int>(number));
  }
  return result;
}

const json& list_of(const json& value, std::size_t most, const std::string& where) {
  if (!value.is_array() || value.size() > most)
    refuse("{} = {}, but it must be a list of at most {}", where, shown(value), most);
  return value;
}

Node read_members(const json& object, const json& rules, const std::string& where, Node node = {});

// `where` names the member.
void read_member(const json& value, const std::string& name, const json& rule, Node& node,
                 const std::string& where) {
  const std::string kind = rule[0];
  const auto require = [&](bool is_allowed, const std::string& what) {
    if (!is_allowed) refuse("{} = {}, but it must be {}", where, shown(value), what);
  };
  if (kind == "integer") node.integers[name] = integers_of(json::array({value}), rule, where);
  if (kind == "number") node.numbers[name] = number_of(value, rule[1], rule[2], where);
  if (kind == "record") node = read_members(value, rule[1], where, std::move(node));
  if (kind == "flag") {
    require(value.is_boolean(), "true or false");
    node.integers[name] = {value.get<bool>() ? 1 : 0};
  }
  if (kind == "word" || kind == "name") {
    const std::string word = value.is_string() ? value.get<std::string>() : "";
    const auto is_bad = [](unsigned char c) { return c < 0x20 || c == 0x7f || c == '/'; };
    if (kind == "name")  // it becomes a file's name and the beginning of keys
      require(!word.empty() && word.size() < 252 && std::ranges::none_of(word, is_bad),
              "1 to 251 bytes, without '/' and control characters");
    else
      require(has_word(rule[1].get<std::string>(), word), fmt::format("one of {}", shown(rule[1])));
    node.words[name] = word;
  }
  if (kind == "spatial") {
    const std::size_t axes = node.op.ends_with("1d") ? 1 : 2;
    require(!value.is_array() || value.size() == axes, "one integer for each spatial axis");
    std::vector<Int> sizes = integers_of(value.is_array() ? value : json(axes, value), rule, where);
    if (axes == 1) sizes.insert(sizes.begin(), rule[1].get<Int>());  // as one row
    node.integers[name] = sizes;
  }
  if (kind == "range")
    require(
        list_of(value, 2, where).size() == 2 && number_of(value[0], rule[1], rule[2], where) <=
                                                    number_of(value[1], rule[1], rule[2], where),
        "two numbers in order");
  if (kind.starts_with("list ")) {
    const bool is_one = !value.is_array() && kind[5] == '1';
    const json list = is_one ? json::array({value}) : list_of(value, 4, where);
    require(kind.find(static_cast<char>('0' + list.size()), 5) != std::string::npos,
            fmt::format("a list; allowed lengths: {}", fmt::join(kind.substr(5), ", ")));
    node.integers[name] = integers_of(list, rule, where);
  }
}

// `node` with the members of `object`, which has no others, and with defaults.
Node read_members(const json& object, const json& rules, const std::string& where, Node node) {
  if (!object.is_object()) refuse("{}: it must be an object, not {}", where, shown(object));
  for (const auto& [name, value] : object.items())
    if (!rules.contains(name)) refuse("{}: unknown {}", where, shown(name));
  for (const auto& [name, rule] : rules.items()) {
    const bool is_given = object.contains(name);
    if (!is_given && rule.size() < 4) refuse("{}: '{}' is missing", where, name);
    const json* value = is_given ? &object[name] : &rule[3];
    if (!is_given && value->is_null()) continue;
    if (!is_given && rule[0] == "spatial" && value->is_string())
      value = &object[value->get<std::string>()];
    if (rule.size() < 5 || *value != rule[4])
      read_member(*value, name, rule, node, fmt::format("{}: {}", where, name));
  }
  return node;
}

// What the attributes of one operator must be together.
void check_attributes(Node& node, const std::string& where) {
  const auto list = [&](std::string_view name) {
    return node.integers.contains(name) ? node.list(name) : std::vector<Int>();
  };
  const auto require = [&](bool is_allowed, std::string_view what) {
    if (!is_allowed) refuse("{}: {}", where, what);
  };
  std::vector<Int> padding = list("padding"), more = list("output_padding"),
                   decimals = list("decimal_range"), axes = list("structured");
  for (std::size_t i = 0; i < padding.size() && node.op.find("_pool") != std::string::npos; ++i)
    require(padding[i] <= node.list("kernel_size")[i] / 2, "padding: at most half of kernel_size");
  for (std::size_t i = 0; i < more.size(); ++i)
    require(more[i] < std::max(node.list("stride")[i], node.list("dilation")[i]),
            "output_padding must be below the larger of stride and dilation");
  for (const Int groups : list("groups"))
    require(node.integer("in_channels") % groups + node.integer("out_channels") % groups == 0,
            "groups must divide in_channels and out_channels");
  for (const Int bits : list("bias_bits"))
    require(bits != 0 && bits != 1, "bias_bits must be -1 or 2 to 32");
  require(decimals.empty() || decimals[0] < decimals[1], "decimal_range must rise");
  std::ranges::sort(axes);
  require(std::ranges::adjacent_find(axes) == axes.end(), "callback names an axis twice");
  if (node.op == "reshape")
    require(std::ranges::count(list("shape"), 0) + std::ranges::count(list("shape"), -1) / 2 == 0,
            "shape: sizes are at least 1, and one of them may be -1");
  if (node.op == "pad") node.integers["padding"].resize(4, 0);
  if (node.op == "upsample") node.integers["scale_factor"].resize(2, node.integer("scale_factor"));
}

Node read_attributes(const json& object, const std::string& op, const std::string& where) {
  Node node;
  node.op = op;
  node = read_members(object, rules_of(op), where, std::move(node));
  check_attributes(node, where);
  return node;
}

// One number for all channels, or one for each.
std::vector<double> numbers_of(const json& object, const char* name, double least, double most,
                               double otherwise, Int channels, const std::string& where) {
  if (!object.contains(name)) return {otherwise};
  const json& value = object[name];
  if (value.is_array() && value.size() != static_cast<std::size_t>(channels))
    refuse("{}: {} has {} numbers for {} channels", where, name, value.size(), channels);
  std::vector<double> result;
  for (const json& one : value.is_array() ? value : json::array({value}))
    result.push_back(number_of(one, least, most, fmt::format("{}: {}", where, name)));
  return result;
}

RawBytes read_raw(const json& object, const Input& input, const std::string& where) {
  read_members(object, rules_of("raw"), where);
  const Int channels = input.shape[0];
  const std::vector<double> scale = numbers_of(object, "scale", 1e-30, 1e30, 1.0 / 255, channels,
                                               where),
                            mean = numbers_of(object, "mean", -1e30, 1e30, 0, channels, where),
                            std = numbers_of(object, "std", 1e-30, 1e30, 1, channels, where);
  RawBytes raw = {scale, {mean.begin(), mean.end()}, {std.begin(), std.end()}};
  for (std::size_t c = 0; c < std::max({scale.size(), mean.size(), std.size()}); ++c)
    for (int byte = 0; byte < 256; ++byte) {
      const auto scaled = static_cast<float>(byte * scale[c % scale.size()]);
      const float value = (scaled - raw.mean[c % mean.size()]) / raw.std[c % std.size()];
      if (!(std::ldexp(std::fabs(static_cast<double>(value)), input.decimal) < 0x1p31))
        refuse("{}: byte {} of channel {} is {}; times 2^{} it leaves 32 bits", where, byte, c,
               value, input.decimal);
    }
  return raw;
}

Input read_input(const json& object, const std::string& file) {
  const Node node = read_members(object, rules_of("an_input"), file + ": an input");
  Input input;
  input.name = node.words.find("name")->second;
  input.shape = node.list("shape");
  input.bits = static_cast<int>(node.integer("bits"));
  input.decimal = static_cast<int>(node.integer("decimal"));
  if (object.contains("raw"))
    input.raw = read_raw(object["raw"], input, fmt::format("{}: input '{}'", file, input.name));
  return input;
}

void read_wrap(json object, const Node& node, const std::string& where, Wraps& wraps) {
  const json type = object.is_object() ? object.value("type", json()) : json();
  const bool has_weight = node.op.starts_with("conv") || node.op == "linear";
  std::optional<Node>& wrap = type == "prune" ? wraps.prune : wraps.quantize;
  if (!has_weight || (type != "prune" && type != "quantize") || wrap)
    refuse("{}: 'wrap' takes one prune and one quantize, of a layer with a weight", where);
  object.erase("type");
  wrap = read_attributes(object, type.get<std::string>() + "_wrap", where + ": wrap");
  const Int rank = node.op == "linear" ? 2 : node.op.ends_with("1d") ? 3 : 4;
  if (type == "quantize" && wrap->integer("channelwise") >= rank)
    refuse("{}: channelwise = {}, but the weight has {} axes", where, wrap->integer("channelwise"),
           rank);
}

class Reader {
 public:
  Reader(const json& root, const std::string& file) : file_(file) {
    Model& model = result.model;
    model.name = read_members(root, rules_of("a_graph"), file).words["name"];
    for (const json& input : list("inputs", root)) {
      model.inputs.push_back(read_input(input, file));
      add_value(model.inputs.back().name);
    }
    for (const json& node : list("nodes", root)) {
      read_node(node);
      add_value(model.nodes.back().name);
    }
    std::set<std::size_t> seen;
    for (const json& output : list("outputs", root)) {
      model.outputs.push_back(value_of(output, file));
      if (model.outputs.back() < model.inputs.size() || !seen.insert(model.outputs.back()).second)
        refuse("{}: output {} must be a node, and named once", file, shown(output));
    }
  }

  GraphFile result;

 private:
  const json& list(const char* name, const json& root) const {
    const json& list = list_of(root[name], 65536, fmt::format("{}: {}", file_, name));
    if (list.empty()) refuse("{}: '{}' is empty", file_, name);
    return list;
  }
  void add_value(const std::string& value) {
    if (!values_.emplace(value, values_.size()).second)
      refuse("{}: layer '{}': two nodes or inputs have this name", file_, value);
  }
  std::size_t value_of(const json& name, const std::string& where) const {
    const auto found = values_.find(name.is_string() ? name.get<std::string>() : "");
    if (found == values_.end())
      refuse("{}: {} is no input of the graph and no earlier node", where, shown(name));
    return found->second;
  }

  void read_node(const json& object) {
    const std::string name =
        read_members(object, rules_of("a_node"), file_ + ": a node").words["name"];
    const std::string where = fmt::format("{}: layer '{}'", file_, name);
    const std::string op = object["op"].is_string() ? object["op"].get<std::string>() : "";
    if (rules_of(op).is_null() || has_word(kOthers, op))
      refuse("{}: there is no operator {}", where, shown(object["op"]));
    Node node = read_attributes(object.value("attrs", json::object()), op, where);
    node.name = name;
    for (const json& input : list_of(object["inputs"], 65536, where + ": inputs"))
      node.inputs.push_back(value_of(input, where));
    const std::size_t inputs = node.inputs.size();
    if (op == "concat" ? inputs == 0 : inputs != (has_word("add sub mul", op) ? 2 : 1))
      refuse("{}: {} takes another number of inputs than {}", where, op, inputs);
    Wraps wraps;
    const json wrap = object.value("wrap", json::array());
    for (const json& one : list_of(wrap, 2, where + ": wrap")) read_wrap(one, node, where, wraps);
    result.model.nodes.push_back(std::move(node));
    result.wraps.push_back(std::move(wraps));
  }

  const std::string& file_;
  std::map<std::string, std::size_t> values_;
};

}  // namespace

GraphFile parse_graph(std::string_view text, const std::string& name) {
  return Reader(parse_json(text, name, 64, 2'000'000), name).result;
}

}  // namespace lockstep::checker
