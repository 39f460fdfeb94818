// Zip archives in memory: reading all entries, all of them checked, and writing. Internal to
// compile/checkpoint.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace lockstep {

using ZipEntries = std::map<std::string, std::vector<std::byte>, std::less<>>;

// Reads every entry to its end, so that every CRC is compared. InputError begins with
// `name_for_errors` and names the entry for: an inconsistent archive, compression or encryption, a
// wrong CRC or size, two entries of one name, entries that together are larger than the archive
// (they overlap), bytes that are not the archive's.
ZipEntries read_zip(std::span<const std::byte> bytes, const std::string& name_for_errors);

struct ZipInput {
  std::string name;
  std::span<const std::byte> content;
};

// Stored, in order, all dated 1980-01-01: same inputs, same bytes. Names are distinct.
std::vector<std::byte> to_zip(std::span<const ZipInput> entries);

}  // namespace lockstep
