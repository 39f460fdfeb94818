#include "train/process_group.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <system_error>
#include <thread>

// LibTorch's own headers of its Gloo backend are empty without it.
#ifndef USE_C10D_GLOO
#define USE_C10D_GLOO
#endif
#include <torch/torch.h>
#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "compile/support/error.h"
#include "compile/support/interruption.h"
#include "compile/support/printable.h"
#include "train/meeting_file.h"

namespace lockstep::train {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// How long a process that ends waits for the notes of the others. Those that wait for it find their
// connection closed at once; one that computes must come to its next collective first.
constexpr milliseconds kSettleTime{5000};
constexpr milliseconds kPollEvery{10};

// Entries of the store, by rank.
std::string member_key(std::int64_t rank) { return fmt::format("member/{}", rank); }
std::string size_key(std::int64_t rank) { return fmt::format("world_size/{}", rank); }
std::string note_key(std::int64_t rank) { return fmt::format("note/{}", rank); }
// The note of a process that has waited in vain; a reason has no line break.
constexpr std::string_view kNoAnswer = "\n";
std::string read_key(std::int64_t rank) { return fmt::format("has_read/{}", rank); }

milliseconds time_until(Clock::time_point end) {
  return std::chrono::duration_cast<milliseconds>(end - Clock::now());
}

std::vector<std::uint8_t> to_value(std::string_view text) { return {text.begin(), text.end()}; }

std::string to_text(const std::vector<std::uint8_t>& value) { return {value.begin(), value.end()}; }

// The first line, without "[file.cc:123] " in front and a full stop at the end.
std::string reason_of(const std::exception& error) {
  const auto* const torch_error = dynamic_cast<const c10::Error*>(&error);
  std::string text = torch_error != nullptr ? torch_error->what_without_backtrace() : error.what();
  text = text.substr(0, text.find('\n'));
  if (text.starts_with('['))
    if (const std::size_t end = text.find("] "); end != std::string::npos) text.erase(0, end + 2);
  if (text.ends_with('.')) text.pop_back();
  return printable(text, 300);
}

// What the system said, in a text of c10d that has it as "(errno: 98 - Address already in use)".
std::string system_error_in(const std::string& text) {
  const std::size_t begin = text.find("(errno: ");
  if (begin == std::string::npos) return text;
  const std::size_t dash = text.find(" - ", begin), end = text.find(')', begin);
  if (dash == std::string::npos || end == std::string::npos || end < dash) return text;
  return text.substr(dash + 3, end - dash - 3);
}

// c10d prints warnings of its own while it waits. Its level is glog's fLI::FLAGS_minloglevel, or
// c10::FLAGS_caffe2_log_level in a LibTorch without glog; looked up, so that we need not link glog.
void silence_c10d() {
  constexpr std::int32_t kNoWarningsAndErrors = 3;
  for (const char* const name : {"_ZN3fLI17FLAGS_minloglevelE", "_ZN3c1023FLAGS_caffe2_log_levelE"})
    if (auto* const level = static_cast<std::int32_t*>(::dlsym(RTLD_DEFAULT, name)))
      *level = kNoWarningsAndErrors;
}

// The numeric address of this machine from which it reaches `point`. InputError for a host that is
// not known. Gloo's own choice, the address of the machine's name, is loopback on Debian.
std::string own_address(const MeetingPoint& point) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  const int error =
      ::getaddrinfo(point.host.c_str(), std::to_string(point.port).c_str(), &hints, &found);
  if (error != 0)
    throw InputError(fmt::format("init method: the host '{}' is not known: {}",
                                 printable(point.host), ::gai_strerror(error)));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    const int probe = ::socket(each->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (probe < 0) continue;
    // Connecting a datagram socket sends nothing.
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    char text[NI_MAXHOST] = "";
    const bool known = ::connect(probe, each->ai_addr, each->ai_addrlen) == 0 &&
                       ::getsockname(probe, reinterpret_cast<sockaddr*>(&address), &length) == 0 &&
                       ::getnameinfo(reinterpret_cast<sockaddr*>(&address), length, text,
                                     sizeof text, nullptr, 0, NI_NUMERICHOST) == 0;
    ::close(probe);
    if (known) return text;
  }
  throw InputError(fmt::format("init method: no network of this machine leads to the host '{}'",
                               printable(point.host)));
}

std::shared_ptr<gloo::transport::Device> make_device(const MeetingPoint& point) {
  if (const char* const interface = std::getenv("GLOO_SOCKET_IFNAME");
      interface != nullptr && *interface != '\0')
    return c10d::ProcessGroupGloo::createDeviceForInterface(interface);
  if (point.host.empty()) return c10d::ProcessGroupGloo::createDefaultDevice();
  return c10d::ProcessGroupGloo::createDeviceForHostname(own_address(point));
}

template <typename Value>
torch::Tensor tensor_on(std::span<Value> values) {
  return torch::from_blob(values.data(), {static_cast<std::int64_t>(values.size())},
                          c10::CppTypeToScalarType<Value>::value);
}

// Of the texts of Gloo, c10d and the system, where one has waited for longer than it may.
bool is_timeout(std::string_view reason) {
  return reason.find("imed out") != std::string_view::npos ||
         reason.find("imeout") != std::string_view::npos;
}

std::string ranks_text(const std::vector<std::int64_t>& ranks) {
  return fmt::format("rank{} {}", ranks.size() == 1 ? "" : "s", fmt::join(ranks, ", "));
}

}  // namespace

struct ProcessGroup::Connection {
  MeetingPoint point;
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;  // null once this process gives up
  std::optional<UndoOnInterrupt> remove_file;

  bool has(const std::string& key) { return store->check({key}); }
  // Of a TCPStore's calls only this one has a timeout, and gives it to those that follow.
  void wait_for(const std::string& key, milliseconds timeout) { store->wait({key}, timeout); }
  void remove_meeting_file() {
    std::error_code ignored;
    if (!point.file.empty()) std::filesystem::remove(point.file, ignored);
  }
  void remove_file_on_interrupt(const InterruptHold& hold) {
    remove_file.emplace(hold, [this] { remove_meeting_file(); });
  }
  // False when something is there already.
  bool make_meeting_file() {
    const InterruptHold hold;
    if (!train::make_meeting_file(point.file)) return false;
    remove_file_on_interrupt(hold);
    return true;
  }
};

// What is known of the others when this process ends.
struct ProcessGroup::Ends {
  bool meeting_point_is_gone = false;
  bool one_did_not_answer = false;  // in this process's or in another one's call
  std::vector<std::int64_t> without_note;
  std::vector<std::pair<std::int64_t, std::string>> errors;  // rank, its reason
};

ProcessGroup::ProcessGroup(const GroupOptions& options)
    : options_(options), connection_(std::make_unique<Connection>()) {
  silence_c10d();
  meet();
  try {
    auto gloo =
        c10d::ProcessGroupGloo::Options::create(std::chrono::seconds(options_.timeout_seconds));
    gloo->devices.push_back(make_device(connection_->point));
    gloo->threads = 1;
    connection_->gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(
        c10::make_intrusive<c10d::PrefixStore>("gloo", connection_->store),
        static_cast<int>(rank()), static_cast<int>(size()), gloo);
  } catch (const InputError& error) {
    leave(error.what());
    throw;
  } catch (const std::exception& error) {
    give_up(reason_of(error));
  }
}

ProcessGroup::~ProcessGroup() = default;

// Opens the store at the meeting point and waits there for the other processes.
void ProcessGroup::meet() {
  Connection& here = *connection_;
  here.point = parse_init_method(options_.init_method);
  const auto refuse = [&](const std::string& reason) {
    throw InputError(fmt::format("init method {}: {}", options_.init_method, reason));
  };
  const milliseconds timeout = std::chrono::seconds(options_.timeout_seconds);
  const Clock::time_point end = Clock::now() + timeout;
  bool made_file = false;
  try {
    if (here.point.file.empty()) {
      own_address(here.point);  // names a host that is not known
      c10d::TCPStoreOptions tcp;
      tcp.port = here.point.port;
      tcp.isServer = rank() == 0;
      tcp.waitWorkers = false;
      tcp.timeout = timeout;
      here.store = c10::make_intrusive<c10d::TCPStore>(here.point.host, tcp);
      // Whoever accepts connections there need not be rank 0, nor answer.
      if (rank() != 0) here.wait_for(size_key(0), std::max(time_until(end), kPollEvery));
    } else {
      made_file = here.make_meeting_file();
      if (!made_file) require_meeting_file(here.point.file, timeout);
      here.store = c10::make_intrusive<c10d::FileStore>(here.point.file, static_cast<int>(size()));
      here.store->setTimeout(timeout);
    }
    if (here.store->add(member_key(rank()), 1) != 1)
      refuse(fmt::format("rank {} is there already{}", rank(),
                         here.point.file.empty()
                             ? ""
                             : ", or the file is left from an earlier training: then remove it"));
    if (!here.point.file.empty() && !made_file) here.remove_file_on_interrupt(InterruptHold());
    here.store->set(size_key(rank()), to_value(std::to_string(size())));
    here.wait_for(size_key(rank()), timeout);
  } catch (const InputError&) {
    throw;
  } catch (const std::exception& error) {
    const std::string reason = reason_of(error);
    if (made_file) here.remove_meeting_file();
    if (here.point.file.empty() && rank() != 0)
      refuse(
          fmt::format("rank 0 did not answer within {} s: {}", options_.timeout_seconds, reason));
    if (here.point.file.empty())
      refuse(fmt::format("rank 0 cannot listen there: {}", system_error_in(reason)));
    refuse(reason);
  }
  collect_members();
}

void ProcessGroup::collect_members() {
  Connection& here = *connection_;
  const Clock::time_point end = Clock::now() + std::chrono::seconds(options_.timeout_seconds);
  std::vector<std::int64_t> missing;
  for (std::int64_t other = 0; other < size(); ++other)
    if (other != rank()) missing.push_back(other);
  // The meeting point stays until those who have come know, too.
  const auto refuse = [&](const std::string& reason) {
    settle(reason);
    throw InputError(reason);
  };
  try {
    while (!missing.empty()) {
      std::erase_if(missing, [&](std::int64_t other) {
        if (!here.has(size_key(other))) return false;
        others_.push_back(other);
        const std::string theirs = to_text(here.store->get(size_key(other)));
        if (theirs != std::to_string(size()))
          refuse(fmt::format("world size = {} here, but {} at rank {}", size(), theirs, other));
        return true;
      });
      if (missing.empty()) return;
      for (const std::int64_t other : others_)
        if (here.has(note_key(other)))
          refuse(fmt::format("rank {} ended {}: {}", other, activity_,
                             to_text(here.store->get(note_key(other)))));
      if (Clock::now() > end)
        refuse(fmt::format("init method {}: {} of {} did not come within {} s",
                           options_.init_method, ranks_text(missing), size(),
                           options_.timeout_seconds));
      std::this_thread::sleep_for(kPollEvery);
    }
  } catch (const InputError&) {
    throw;
  } catch (const std::exception& error) {
    throw InputError(
        fmt::format("init method {}: rank 0 is gone: {}", options_.init_method, reason_of(error)));
  }
}

// Leaves `note` for the others, empty or kNoAnswer for a process that only lost them, and reads
// theirs.
ProcessGroup::Ends ProcessGroup::settle(const std::string& note) noexcept {
  Ends ends;
  ends.one_did_not_answer = note == kNoAnswer;
  Connection& here = *connection_;
  const auto wait_for = [&](std::vector<std::int64_t>& ranks, auto&& key) {
    const Clock::time_point end = Clock::now() + kSettleTime;
    while (true) {
      std::erase_if(ranks, [&](std::int64_t other) { return here.has(key(other)); });
      if (ranks.empty() || Clock::now() > end) return;
      std::this_thread::sleep_for(kPollEvery);
    }
  };
  here.gloo.reset();  // the others, when they wait for this process, find the connection closed
  try {
    here.store->set(note_key(rank()), to_value(note));
    here.wait_for(note_key(rank()), kSettleTime);
    ends.without_note = others_;
    wait_for(ends.without_note, note_key);
    std::vector<std::int64_t> readers;
    for (const std::int64_t other : others_) {
      if (std::ranges::count(ends.without_note, other) > 0) continue;
      readers.push_back(other);
      const std::string theirs = to_text(here.store->get(note_key(other)));
      if (theirs == kNoAnswer)
        ends.one_did_not_answer = true;
      else if (!theirs.empty())
        ends.errors.emplace_back(other, theirs);
    }
    here.store->set(read_key(rank()), to_value("1"));
    // The first one there keeps the meeting point until the rest have read.
    if (std::ranges::any_of(readers, [&](std::int64_t other) { return other < rank(); }))
      return ends;
    wait_for(readers, read_key);
    here.remove_meeting_file();
  } catch (const std::exception& error) {
    ends.meeting_point_is_gone = true;
    ends.one_did_not_answer = is_timeout(reason_of(error));
  }
  return ends;
}

// The collective failed for `reason`: says who is to blame.
void ProcessGroup::give_up(const std::string& reason) {
  const Ends ends = settle(std::string(is_timeout(reason) ? kNoAnswer : ""));
  if (!ends.errors.empty())
    throw InputError(fmt::format("rank {} ended {}: {}", ends.errors.front().first, activity_,
                                 ends.errors.front().second));
  std::vector<std::int64_t> lost = ends.without_note;
  if (ends.meeting_point_is_gone) lost = {0};
  if (lost.empty())
    throw InputError(fmt::format("the processes lost each other {}: {}", activity_, reason));
  const std::string_view what = ends.one_did_not_answer ? "did not answer"
                                : lost.size() == 1      ? "is gone"
                                                        : "are gone";
  throw InputError(fmt::format("{} {} {}: {}", ranks_text(lost), what, activity_, reason));
}

void ProcessGroup::leave(std::string_view why) noexcept {
  if (connection_->gloo) settle(std::string(why.substr(0, why.find('\n'))));
}

template <typename Call>
void ProcessGroup::guarded(Call&& call) {
  LOCKSTEP_ASSERT(connection_->gloo);
  std::string reason;
  try {
    call(*connection_->gloo);
    return;
  } catch (const std::exception& error) {
    reason = reason_of(error);
  }
  give_up(reason);
}

void ProcessGroup::sum(std::span<float> values) {
  guarded([&](c10d::ProcessGroupGloo& gloo) {
    std::vector<torch::Tensor> tensors = {tensor_on(values)};
    gloo.allreduce(tensors)->wait();
  });
}

void ProcessGroup::sum(std::span<std::int64_t> values) {
  guarded([&](c10d::ProcessGroupGloo& gloo) {
    std::vector<torch::Tensor> tensors = {tensor_on(values)};
    gloo.allreduce(tensors)->wait();
  });
}

void ProcessGroup::broadcast(std::span<float> values, std::int64_t from) {
  guarded([&](c10d::ProcessGroupGloo& gloo) {
    std::vector<torch::Tensor> tensors = {tensor_on(values)};
    c10d::BroadcastOptions options;
    options.rootRank = from;
    gloo.broadcast(tensors, options)->wait();
  });
}

std::vector<std::byte> ProcessGroup::broadcast(std::vector<std::byte> of_rank_0) {
  std::int64_t count = rank() == 0 ? static_cast<std::int64_t>(of_rank_0.size()) : 0;
  sum(std::span(&count, 1));
  of_rank_0.resize(static_cast<std::size_t>(count));
  if (count == 0) return of_rank_0;
  guarded([&](c10d::ProcessGroupGloo& gloo) {
    std::vector<torch::Tensor> tensors = {
        torch::from_blob(of_rank_0.data(), {count}, torch::kUInt8)};
    gloo.broadcast(tensors)->wait();
  });
  return of_rank_0;
}

std::vector<std::string> ProcessGroup::gather(const std::string& mine) {
  std::vector<std::int64_t> lengths(static_cast<std::size_t>(size()), 0);
  lengths[static_cast<std::size_t>(rank())] = static_cast<std::int64_t>(mine.size());
  sum(std::span(lengths));
  const std::int64_t longest = std::max<std::int64_t>(1, *std::ranges::max_element(lengths));
  torch::Tensor padded = torch::zeros({longest}, torch::kUInt8);
  std::memcpy(padded.data_ptr(), mine.data(), mine.size());
  std::vector<std::vector<torch::Tensor>> rows(1);
  for (std::int64_t i = 0; i < size(); ++i) rows[0].push_back(torch::empty_like(padded));
  guarded([&](c10d::ProcessGroupGloo& gloo) {
    std::vector<torch::Tensor> inputs = {padded};
    gloo.allgather(rows, inputs)->wait();
  });
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < lengths.size(); ++i)
    texts.emplace_back(static_cast<const char*>(rows[0][i].data_ptr()),
                       static_cast<std::size_t>(lengths[i]));
  return texts;
}

void ProcessGroup::wait_for_all() {
  std::int64_t nothing = 0;
  sum(std::span(&nothing, 1));
}

}  // namespace lockstep::train
