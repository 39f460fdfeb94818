#include "verify/differential/object_sizes.h"

#include <elf.h>

#include <cstring>

namespace lockstep::verify {
namespace {

template <typename Record>
std::optional<Record> record_at(std::span<const std::byte> file, std::uint64_t offset) {
  if (offset > file.size() || file.size() - offset < sizeof(Record)) return std::nullopt;
  Record record;
  std::memcpy(&record, file.data() + offset, sizeof record);
  return record;
}

template <typename Header, typename Section>
std::optional<ObjectSizes> sum_sections(std::span<const std::byte> file) {
  const std::optional<Header> header = record_at<Header>(file, 0);
  // With 65,280 sections and more their number is elsewhere, and 0 here.
  if (!header || header->e_type != ET_REL || header->e_shnum == 0 ||
      header->e_shentsize != sizeof(Section))
    return std::nullopt;
  ObjectSizes sizes;
  for (unsigned i = 0; i < header->e_shnum; ++i) {
    const std::optional<Section> section =
        record_at<Section>(file, header->e_shoff + std::uint64_t{i} * sizeof(Section));
    if (!section) return std::nullopt;
    if ((section->sh_flags & SHF_ALLOC) == 0) continue;
    ((section->sh_flags & SHF_EXECINSTR) != 0 ? sizes.code_bytes : sizes.constant_bytes) +=
        section->sh_size;
  }
  return sizes;
}

}  // namespace

std::optional<ObjectSizes> object_sizes(std::span<const std::byte> file) {
  if (file.size() < EI_NIDENT || std::memcmp(file.data(), ELFMAG, SELFMAG) != 0 ||
      std::to_integer<int>(file[EI_DATA]) != ELFDATA2LSB)
    return std::nullopt;
  switch (std::to_integer<int>(file[EI_CLASS])) {
    case ELFCLASS32:
      return sum_sections<Elf32_Ehdr, Elf32_Shdr>(file);
    case ELFCLASS64:
      return sum_sections<Elf64_Ehdr, Elf64_Shdr>(file);
    default:
      return std::nullopt;
  }
}

}  // namespace lockstep::verify
