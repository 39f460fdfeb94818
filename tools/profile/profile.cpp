#include "tools/profile/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "tools/support/table.h"

namespace lockstep::cli {
namespace {

using Json = nlohmann::ordered_json;

double median(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  // A clock may stand still while a small operator runs.
  return std::max(*middle, 1e-9);
}

// Which operators run together, where some do.
std::string chains_text(const std::vector<OperatorProfile>& operators) {
  std::vector<std::string> chains;
  for (std::size_t i = 0; i < operators.size(); ++i)
    if (const std::size_t links = operators[i].info.chain_links; links != 0)
      chains.push_back(
          fmt::format("{} to {}", operators[i].info.node, operators[i + links - 1].info.node));
  if (chains.empty()) return "";
  return fmt::format("\nrun together, some rows at a time, but not while their times are taken: {}",
                     fmt::join(chains, "; "));
}

}  // namespace

Profile profile_of(Model& model, std::span<const ModelInput> inputs, double seconds) {
  Profile profile{.network = model.name(),
                  .kernels = model.kernels(),
                  .threads = model.threads(),
                  .inferences = 0,
                  .peak = measure_peak(model.kernels(), model.threads()),
                  .seconds = 0,
                  .operators = {}};
  const std::size_t count = model.operators().size();
  std::vector<double> whole, once(count);
  std::vector<std::vector<double>> times(count);
  using Clock = std::chrono::steady_clock;
  const Clock::time_point begin = Clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };
  do model.time(inputs);
  while (elapsed() < 0.1 * seconds);
  do {
    whole.push_back(model.time(inputs));
    model.time(inputs, once);
    for (std::size_t i = 0; i < count; ++i) times[i].push_back(once[i]);
  } while (elapsed() < seconds && whole.size() < 100'000);
  profile.inferences = whole.size();
  profile.seconds = median(whole);
  for (std::size_t i = 0; i < count; ++i)
    profile.operators.push_back({model.operators()[i], median(times[i])});
  return profile;
}

std::string profile_text(const Profile& profile) {
  using enum Table::Align;
  Table table({{"operator"},
               {"kernel"},
               {"MACs", kRight},
               {"us", kRight},
               {"share", kRight},
               {"GMAC/s", kRight},
               {"of peak", kRight}});
  double all = 0;
  for (const OperatorProfile& op : profile.operators) all += op.seconds;
  for (const OperatorProfile& op : profile.operators) {
    const bool multiplies = op.info.macs != 0;
    table.add_row({op.info.node, op.info.kernel, fmt::to_string(op.info.macs),
                   fmt::format("{:.1f}", 1e6 * op.seconds),
                   fmt::format("{:.1f} %", 100 * op.seconds / all),
                   multiplies ? fmt::format("{:.1f}", op.macs_per_second() / 1e9) : "",
                   multiplies ? fmt::format("{:.0f} %", 100 * profile.share_of_peak(op)) : ""});
  }
  const MachinePeak& peak = profile.peak;
  return fmt::format(
      "{}\n\n{} kernels, {} thread{}, {} inferences: median {:.1f} us\nthis machine at most: "
      "{:.1f} "
      "GMAC/s in registers, {:.1f} GB/s from caches, {:.1f} GB/s from memory{}",
      table.to_text(), profile.kernels, profile.threads, profile.threads == 1 ? "" : "s",
      profile.inferences, 1e6 * profile.seconds, peak.macs_per_second / 1e9,
      peak.cache_bytes_per_second / 1e9, peak.memory_bytes_per_second / 1e9,
      chains_text(profile.operators));
}

Json profile_json(const Profile& profile) {
  Json operators = Json::array();
  for (const OperatorProfile& op : profile.operators)
    operators.push_back({{"node", op.info.node},
                         {"kernel", op.info.kernel},
                         {"macs", op.info.macs},
                         {"bytes", op.info.bytes},
                         {"chain_links", op.info.chain_links},
                         {"median_us", 1e6 * op.seconds},
                         {"share_of_peak", profile.share_of_peak(op)}});
  return {{"kernels", profile.kernels},
          {"threads", profile.threads},
          {"inferences", profile.inferences},
          {"median_us", 1e6 * profile.seconds},
          {"peak_macs_per_second", profile.peak.macs_per_second},
          {"cache_bytes_per_second", profile.peak.cache_bytes_per_second},
          {"memory_bytes_per_second", profile.peak.memory_bytes_per_second},
          {"operators", operators}};
}

}  // namespace lockstep::cli
