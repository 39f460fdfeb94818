// lockstep verify: holds a plan, and the C made from it, against the graph and its state dict. The
// work is verify/verify.h's, and tools/report has the tables and pages; here the verdict becomes an
// exit code.
#include "verify/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <span>

#include "compile/support/error.h"
#include "compile/support/files.h"
#include "tools/certify/certify.h"
#include "tools/commands/command.h"
#include "tools/commands/self_test.h"
#include "tools/report/verify_page.h"
#include "tools/report/verify_suite.h"
#include "tools/report/verify_text.h"
#include "tools/report/worst_cases.h"
#include "tools/support/console.h"
#include "tools/support/file_names.h"
#include "tools/support/open_plan.h"
#include "tools/support/options.h"
#include "tools/support/outputs.h"
#include "tools/support/place_option.h"
#include "tools/verbs/verbs.h"
#include "train/datasets/dataset.h"
#include "verify/differential/targets.h"
#include "verify/signing/digest.h"

namespace lockstep::cli {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct VerifyArguments {
  fs::path graph, weights, plan, c_folder, junit, report;
  fs::path certificate, sign;
  std::string prefix = "net";
  std::string data, accept, explain;
  std::int64_t sample = 0;           // that explain is about
  std::int64_t max_images = 0;       // 0: all
  std::vector<std::string> targets;  // none: the host
  std::int64_t random_samples = 64;
  std::uint64_t seed = 1;
  std::int64_t self_test = 0;  // changed plans; 0: none
  OutputOptions output;
};

// The first `max_images` images of the data set's test part, or none.
struct TestImages {
  std::unique_ptr<datasets::ImageSource> source;
  std::int64_t count = 0;
  std::span<const std::int32_t> labels() const {
    return count == 0 ? std::span<const std::int32_t>()
                      : source->labels().first(static_cast<std::size_t>(count));
  }
};

// A label is an index into the network's first output.
TestImages open_test_images(const VerifyArguments& arguments, const Graph& graph,
                            const PlanFile& plan) {
  if (arguments.data.empty()) return {};
  if (graph.inputs.size() != 1)
    throw InputError(fmt::format("{}: --data needs a network with one input, this one has {}",
                                 arguments.graph.string(), graph.inputs.size()));
  TestImages images{.source = datasets::open_test_part(arguments.data, graph.inputs.front(),
                                                       {.seed = arguments.seed})};
  const std::span<const std::int32_t> labels = images.source->labels();
  const std::int64_t classes = plan.tensor(intrt_output(plan.plan(), 0)).element_count;
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (labels[i] >= classes)
      throw InputError(
          fmt::format("--data {}: label {} of the test part is {}, but the network's first output "
                      "has {} values",
                      arguments.data, i, labels[i], classes));
  images.count = images.source->count();
  if (arguments.max_images > 0) images.count = std::min(images.count, arguments.max_images);
  return images;
}

// The images as samples of the network's input, made when they are asked for. Keeps references.
verify::DataSource source_of(const TestImages& images, const Graph& graph) {
  if (images.count == 0) return {};
  const GraphInput& input = graph.inputs.front();
  return {images.count, [&](std::int64_t first, std::int64_t count) {
            const int decimal = input.raw ? 0 : static_cast<int>(input.decimal);
            verify::TensorCodes codes{.shape = input.shape, .decimals = {decimal}, .codes = {}};
            const std::vector<std::int16_t> taken = images.source->take(first, count);
            codes.codes.assign(taken.begin(), taken.end());
            return verify::Batch{std::move(codes)};
          }};
}

// Of the codes, as 16-bit numbers one after another; of no images, of nothing.
std::string sha256_of(const TestImages& images) {
  constexpr std::int64_t kAtATime = 64;
  signing::Sha256 hash;
  for (std::int64_t first = 0; first < images.count; first += kAtATime) {
    const std::vector<std::int16_t> codes =
        images.source->take(first, std::min(kAtATime, images.count - first));
    hash.add(std::as_bytes(std::span(codes)));
  }
  return hash.hex();
}

// The verdict as a line, as an exit code, and as JSON.
struct Outcome {
  std::string line;
  int exit_code;
  Json json;
};

Outcome outcome_of(const verify::Report& report, bool accept_tested) {
  const verify::Verdict& verdict = report.verdict;
  if (const auto* proved = std::get_if<verify::Proved>(&verdict))
    return {fmt::format("proved: {}", proved->method),
            kExitOk,
            {{"verdict", "proved"}, {"method", proved->method}}};
  if (const auto* refuted = std::get_if<verify::Refuted>(&report.verdict))
    return {fmt::format("refuted: {}", refuted->first_difference),
            kExitRefuted,
            {{"verdict", "refuted"},
             {"layer", refuted->layer},
             {"first_difference", refuted->first_difference}}};
  const std::string& reason = std::get<verify::Unknown>(report.verdict).reason;
  Outcome outcome{fmt::format("unknown: {}", reason),
                  kExitUnknown,
                  {{"verdict", "unknown"}, {"reason", reason}}};
  // A path that failed or differed is never accepted, whatever the caller wishes.
  const bool accepted = accept_tested && report.agreed;
  if (accepted) {
    outcome.line += "\naccepted as tested, not proved";
    outcome.exit_code = kExitOk;
  }
  outcome.json["accepted_as_tested"] = accepted;
  return outcome;
}

// Those of --targets, which without C are cores.
std::vector<std::string> targets_of(const VerifyArguments& arguments) {
  for (const std::string& target : arguments.targets)
    if (arguments.c_folder.empty() && (target == "host" || target == "host-all"))
      throw InputError(fmt::format(
          "--targets {}: compiles the C of --c, which is not given; the plan runs on the "
          "host without it",
          target));
  return arguments.targets.empty() ? std::vector<std::string>{"host"} : arguments.targets;
}

// What the options were, for the certificate.
std::vector<std::string> option_texts(const VerifyArguments& arguments) {
  return {fmt::format("--random {}", arguments.random_samples),
          fmt::format("--max-images {}", arguments.max_images),
          fmt::format("--targets {}", fmt::join(targets_of(arguments), ","))};
}

void write_junit(const VerifyArguments& arguments, const verify::Report& report, const Graph& graph,
                 const PlanFile& plan, const verify::ProofOutcome& proof, const Outcome& outcome,
                 const std::optional<SelfTest>& self_test) {
  if (arguments.junit.empty()) return;
  std::vector<std::string> layers;
  for (std::uint32_t op = 0; op < intrt_op_count(plan.plan()); ++op)
    layers.emplace_back(plan.op_node(op));
  TestSuite suite = verify_suite(report, graph.name, layers, proof, outcome.exit_code == kExitOk);
  if (self_test) {
    using enum TestCase::Result;
    const auto result = !self_test->exit_code                         ? kPassed
                        : *self_test->exit_code == kExitInternalError ? kFailed
                                                                      : kError;
    suite.cases.push_back(
        {graph.name, "self-test", result, self_test->text.substr(0, self_test->text.find('\n'))});
  }
  write_file_atomically(arguments.junit, junit_xml(suite));
}

// Claims the place of --report, which no other output may have.
void claim_report(const VerifyArguments& arguments, Outputs& outputs) {
  if (arguments.report.empty()) return;
  for (const fs::path& other : {arguments.certificate, arguments.junit})
    if (arguments.report == other)
      throw InputError(fmt::format("{}: is named for two outputs", other.string()));
  outputs.claim(arguments.report);
}

int verify_files(const VerifyArguments& arguments) {
  // An older certificate goes, whatever happens now.
  Outputs outputs({arguments.graph, arguments.weights, arguments.plan, arguments.sign});
  if (!arguments.certificate.empty()) {
    outputs.claim(arguments.certificate);
    outputs.claim(signature_file(arguments.certificate));
    require_certificate_place(arguments.certificate, arguments.sign);
  }
  Outputs report_outputs({arguments.graph, arguments.weights, arguments.plan, arguments.sign});
  claim_report(arguments, report_outputs);
  const std::vector<std::string> targets = targets_of(arguments);
  const Graph graph = read_graph(arguments.graph);
  const StateDict state = read_state_dict(arguments.weights);
  const PlanFile plan(arguments.plan);
  const TestImages images = open_test_images(arguments, graph, plan);
  const std::string files =
      fmt::format("{}, {}", arguments.graph.string(), arguments.weights.string());
  const std::unique_ptr<verify::FloatPath> float_path =
      naming_files(files, [&] { return float_path_of_this_build(graph, state); });

  Console console(arguments.output);
  verify::Options options;
  options.plan = plan.bytes();
  if (!arguments.c_folder.empty()) options.c_folder = arguments.c_folder;
  options.c_prefix = arguments.prefix;
  options.targets = targets;
  options.float_path = float_path.get();
  options.source = source_of(images, graph);
  options.random_samples = arguments.random_samples;
  options.seed = arguments.seed;
  options.progress = [&](const std::string& line) { console.progress(line); };
  if (!arguments.explain.empty()) {
    const std::string text = naming_files(files, [&] {
      return verify::explain_value(graph, state, parse_place(arguments.explain, arguments.sample),
                                   options);
    });
    console.print(text);
    console.print_json({{"plan", arguments.plan.string()}, {"explanation", text}});
    return kExitOk;
  }
  const PlanProof proof = prove_plan(arguments.graph, arguments.weights, plan.bytes());
  console.progress(proof.text());
  options.proof = proof.outcome;
  std::optional<CProof> c_proof;
  if (options.c_folder && proof.proof) {
    c_proof = prove_c(arguments.c_folder, arguments.prefix, plan.bytes());
    options.c_proof = c_proof->outcome;
    console.progress(c_proof->text());
  }
  const verify::Report report =
      naming_files(files, [&] { return verify::verify_plan(graph, state, {}, options); });
  const Outcome outcome = outcome_of(report, arguments.accept == "tested");
  const bool is_proved = std::holds_alternative<verify::Proved>(report.verdict);
  if (is_proved && !arguments.certificate.empty()) {
    write_certificate({.graph = arguments.graph,
                       .weights = arguments.weights,
                       .plan = arguments.plan,
                       .c_folder = arguments.c_folder,
                       .c_prefix = arguments.prefix,
                       .certificate = arguments.certificate,
                       .private_key = arguments.sign,
                       .verdict = outcome.line,
                       .options = option_texts(arguments),
                       .seed = arguments.seed,
                       .data = arguments.data,
                       .data_sha256 = sha256_of(images)},
                      *proof.proof, report);
    outputs.keep();
  }

  Json json{{"plan", arguments.plan.string()}};
  json.update(outcome.json);
  json["samples"] = report.samples;
  json["constants_checked"] = report.constants_checked;
  json["paths"] = paths_json(report);
  json["worst_cases"] = worst_cases_json(report);
  json["proof"] = proof.json();
  if (!report.float32_witness.empty()) json["float32_witness"] = report.float32_witness;
  if (report.c_probes)
    json["c_probes"] = {{"path", report.c_probes->path}, {"probes", report.c_probes->probes}};
  if (c_proof) json["c_proof"] = c_proof->json();

  console.print(paths_text(report));
  console.print(fmt::format("\nconstants re-derived and compared  {}", report.constants_checked));
  console.print(worst_cases_text(report));
  std::string remarks;
  // A refuted plan may have been given up before it saw every image.
  if (images.count > 0 && std::ssize(report.plan_predictions) == images.count) {
    const Accuracy accuracy = accuracy_of(report, images.labels());
    remarks += accuracy_text(accuracy) + "\n";
    json["accuracy"] = accuracy_json(accuracy);
  }
  remarks += proof.text();
  if (c_proof) remarks += "\n" + c_proof->text();
  if (!report.float32_witness.empty())
    remarks +=
        fmt::format("\nfloat32 depends on the order, for example: {}", report.float32_witness);
  console.print(remarks);
  console.print(outcome.line);
  std::optional<SelfTest> test;
  if (arguments.self_test > 0) {
    test = self_test(arguments.graph, arguments.weights, plan.bytes(), arguments.self_test,
                     arguments.seed);
    console.print("\n" + test->text);
    json["self_test"] = test->json;
  }
  write_junit(arguments, report, graph, plan,
              c_proof && proof.proof ? c_proof->outcome : proof.outcome, outcome, test);
  if (!arguments.report.empty()) {
    write_file_atomically(arguments.report,
                          verify_page({.network = graph.name,
                                       .plan = arguments.plan.string(),
                                       .verdict = outcome.json.at("verdict").get<std::string>(),
                                       .line = outcome.line,
                                       .remarks = remarks,
                                       .report = report,
                                       .proof = proof.proof ? &*proof.proof : nullptr,
                                       .self_test = test ? &*test : nullptr}));
    console.print(fmt::format("report  {}", arguments.report.string()));
    json["report"] = arguments.report.string();
  }
  report_outputs.keep();
  console.print_json(json);
  return test && test->exit_code ? *test->exit_code : outcome.exit_code;
}

// The same with --junit: that file is written even when there is no verdict, to say why.
int verify_with_junit(const VerifyArguments& arguments) {
  if (arguments.junit.empty()) return verify_files(arguments);
  if (arguments.junit == arguments.certificate)
    throw InputError(fmt::format("{}: is named for two outputs", arguments.junit.string()));
  Outputs outputs({arguments.graph, arguments.weights, arguments.plan, arguments.sign});
  outputs.claim(arguments.junit);
  try {
    const int exit_code = verify_files(arguments);
    outputs.keep();
    return exit_code;
  } catch (const std::exception& error) {
    write_file_atomically(arguments.junit, junit_xml(error_suite(error.what())));
    outputs.keep();
    throw;
  }
}

}  // namespace

Action add_verify(CLI::App& verb) {
  auto arguments = std::make_shared<VerifyArguments>();
  add_path(verb, "--graph", arguments->graph, "The network", "graph.json")->required();
  add_path(verb, "--weights", arguments->weights, "Its state dict, .pt or .safetensors", "STATE")
      ->required();
  add_path(verb, "--plan", arguments->plan, "The plan to check", "net.plan")->required();
  CLI::Option* const c_folder =
      add_path(verb, "--c", arguments->c_folder, "Check the C in this folder, too", "DIR");
  verb.add_option("--prefix", arguments->prefix, "Prefix of the C files")
      ->needs(c_folder)
      ->capture_default_str()
      ->type_name("NAME");
  verb.add_option("--data", arguments->data,
                  "Also run this data set's test part: fashion-mnist, idx:DIR, npy:X.npy,Y.npy or "
                  "synthetic")
      ->type_name("DATA");
  add_integer<std::int64_t>(verb, "--max-images", arguments->max_images, 0, 1'000'000'000,
                            "Use the first N images only (0: all)");
  verb.add_option(
          "--targets", arguments->targets,
          "Where to run the C of --c, or else the plan, comma-separated: an emulated core "
          "(cortex-m0, -m3, -m4, -m7, -m33 and -m55, rv32imc, aarch64), all (host and all cores); "
          "with --c: host (gcc and clang, -O0 and -O3; the default), host-all (all levels)")
      ->delimiter(',')
      ->check(CLI::IsMember(verify::target_names()))
      ->type_name("LIST");
  add_integer<std::int64_t>(verb, "--random", arguments->random_samples, 0, 1'000'000,
                            "Random and corner inputs to run");
  add_integer<std::uint64_t>(verb, "--seed", arguments->seed, 0,
                             std::numeric_limits<std::uint64_t>::max(),
                             "Of the random inputs and of synthetic data");
  verb.add_option("--accept", arguments->accept,
                  "tested: exit 0, not 3, when everything was compared and agreed, without a proof")
      ->check(CLI::IsMember({"tested"}))
      ->type_name("tested");
  CLI::Option* const certificate = add_path(
      verb, "--certificate", arguments->certificate,
      "When the plan is proved, write a certificate that `lockstep check` derives again", "C.json");
  add_path(verb, "--sign", arguments->sign, "Sign it with this Ed25519 key, into C.json.sig",
           "KEY.pem")
      ->needs(certificate);
  CLI::Option* const self_test =
      add_integer<std::int64_t>(verb, "--self-test", arguments->self_test, 1, 1'000'000,
                                "Change the plan in N ways and see that the proof notices");
  self_test->expected(0, 1)->default_str("200")->type_name("N");
  CLI::Option* const junit =
      add_path(verb, "--junit", arguments->junit, "Also write the result as JUnit XML", "FILE");
  CLI::Option* const report =
      add_path(verb, "--report", arguments->report,
               "Also write the result as a page with charts: layers, headroom, runs", "R.html");
  CLI::Option* const explain =
      verb.add_option("--explain", arguments->explain,
                      "Verify nothing; show how one value comes about, term by term")
          ->excludes(c_folder)
          ->excludes(junit)
          ->excludes(report)
          ->excludes(certificate)
          ->excludes(self_test)
          ->type_name("LAYER,CHANNEL,Y,X");
  add_integer<std::int64_t>(verb, "--sample", arguments->sample, 0,
                            std::numeric_limits<std::int64_t>::max(),
                            "The sample of --explain: the data, then corner and random inputs")
      ->needs(explain);
  add_output_options(verb, arguments->output);
  return [arguments] { return verify_with_junit(*arguments); };
}

}  // namespace lockstep::cli
