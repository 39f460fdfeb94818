#include "compile/checkpoint/zip_archive.h"

#include <fmt/format.h>
#include <zip.h>

#include <memory>
#include <string_view>

#include "compile/checkpoint/shape.h"
#include "compile/support/error.h"
#include "compile/support/printable.h"

namespace lockstep {
namespace {

constexpr std::size_t kMaxEntries = kMaxTensors + 64;  // the storages and a few small files

// libzip's text for an error, which must be released.
std::string text_and_release(zip_error_t& error) {
  std::string text = zip_error_strerror(&error);
  zip_error_fini(&error);
  return text;
}

struct DiscardArchive {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
struct CloseEntry {
  void operator()(zip_file_t* entry) const { zip_fclose(entry); }
};

std::unique_ptr<zip_t, DiscardArchive> open_archive(std::span<const std::byte> bytes,
                                                    const std::string& name) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* const source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
  zip_t* const archive = source == nullptr
                             ? nullptr
                             : zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &error);
  if (archive == nullptr) {
    zip_source_free(source);
    throw InputError(
        fmt::format("{}: not an intact zip archive: {}", name, text_and_release(error)));
  }
  zip_error_fini(&error);
  return std::unique_ptr<zip_t, DiscardArchive>(archive);
}

std::vector<std::byte> read_entry(zip_t* archive, zip_uint64_t index, const zip_stat_t& status,
                                  const std::string& where) {
  const auto fail = [&](std::string_view reason) {
    throw InputError(fmt::format("{}: {}", where, reason));
  };
  const std::unique_ptr<zip_file_t, CloseEntry> entry(zip_fopen_index(archive, index, 0));
  if (!entry) fail(zip_strerror(archive));
  std::vector<std::byte> content(status.size);
  std::size_t at = 0;
  while (at < content.size()) {
    const zip_int64_t got = zip_fread(entry.get(), content.data() + at, content.size() - at);
    if (got < 0) fail(zip_file_strerror(entry.get()));
    if (got == 0) fail(fmt::format("truncated at byte {} of {}", at, content.size()));
    at += static_cast<std::size_t>(got);
  }
  // Only the read that finds the end compares the CRC.
  std::byte beyond;
  const zip_int64_t more = zip_fread(entry.get(), &beyond, 1);
  if (more < 0) fail(zip_file_strerror(entry.get()));
  if (more > 0) fail(fmt::format("longer than its {} bytes", content.size()));
  return content;
}

}  // namespace

ZipEntries read_zip(std::span<const std::byte> bytes, const std::string& name_for_errors) {
  const auto archive = open_archive(bytes, name_for_errors);
  const zip_int64_t count = zip_get_num_entries(archive.get(), 0);
  if (count < 0 || static_cast<std::size_t>(count) > kMaxEntries)
    throw InputError(fmt::format("{}: {} entries in the archive, but at most {} are allowed",
                                 name_for_errors, count, kMaxEntries));
  ZipEntries entries;
  std::size_t total_bytes = 0;
  for (zip_uint64_t index = 0; index < static_cast<zip_uint64_t>(count); ++index) {
    zip_stat_t status;
    zip_stat_init(&status);
    constexpr zip_uint64_t kNeeded = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE |
                                     ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD |
                                     ZIP_STAT_CRC;
    if (zip_stat_index(archive.get(), index, ZIP_FL_ENC_RAW, &status) != 0 ||
        (status.valid & kNeeded) != kNeeded)
      throw InputError(
          fmt::format("{}: entry {} of the archive is damaged", name_for_errors, index));
    const std::string where =
        fmt::format("{}: entry '{}'", name_for_errors, printable(status.name));
    if (status.comp_method != ZIP_CM_STORE || status.encryption_method != ZIP_EM_NONE)
      throw InputError(
          fmt::format("{}: compressed or encrypted, but only stored entries are read", where));
    if (status.size != status.comp_size || status.size > bytes.size() - total_bytes)
      throw InputError(fmt::format("{}: a size of {} bytes cannot be right", where, status.size));
    total_bytes += status.size;
    // libzip 1.7 refuses equal names when it opens the archive; its manual does not promise that.
    if (!entries.try_emplace(status.name, read_entry(archive.get(), index, status, where)).second)
      throw InputError(fmt::format("{}: occurs twice", where));
  }
  return entries;
}

std::vector<std::byte> to_zip(std::span<const ZipInput> entries) {
  constexpr zip_uint16_t kMidnight = 0, kFirstDay = 1 << 5 | 1;  // month and day; years from 1980
  zip_source_t* const target = zip_source_buffer_create(nullptr, 0, 0, nullptr);
  LOCKSTEP_ASSERT(target != nullptr);
  zip_t* const archive = zip_open_from_source(target, ZIP_CREATE | ZIP_TRUNCATE, nullptr);
  LOCKSTEP_ASSERT(archive != nullptr);
  for (const ZipInput& entry : entries) {
    zip_source_t* const content =
        zip_source_buffer(archive, entry.content.data(), entry.content.size(), 0);
    const zip_int64_t index = zip_file_add(archive, entry.name.c_str(), content, ZIP_FL_ENC_UTF_8);
    LOCKSTEP_ASSERT(index >= 0);
    const auto place = static_cast<zip_uint64_t>(index);
    LOCKSTEP_ASSERT(zip_set_file_compression(archive, place, ZIP_CM_STORE, 0) == 0);
    LOCKSTEP_ASSERT(zip_file_set_dostime(archive, place, kMidnight, kFirstDay, 0) == 0);
  }
  zip_source_keep(target);  // closing the archive releases it once
  LOCKSTEP_ASSERT(zip_close(archive) == 0);

  zip_stat_t status;
  zip_stat_init(&status);
  LOCKSTEP_ASSERT(zip_source_stat(target, &status) == 0);
  std::vector<std::byte> bytes(status.size);
  LOCKSTEP_ASSERT(zip_source_open(target) == 0);
  const zip_int64_t got = zip_source_read(target, bytes.data(), bytes.size());
  LOCKSTEP_ASSERT(got == static_cast<zip_int64_t>(bytes.size()));
  zip_source_close(target);
  zip_source_free(target);
  return bytes;
}

}  // namespace lockstep
