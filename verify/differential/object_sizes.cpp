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
std::optional<std::vector<Section>> sections_of(std::span<const std::byte> file) {
  const std::optional<Header> header = record_at<Header>(file, 0);
  // With 65,280 sections and more their number is elsewhere, and 0 here.
  if (!header || header->e_type != ET_REL || header->e_shnum == 0 ||
      header->e_shentsize != sizeof(Section))
    return std::nullopt;
  std::vector<Section> sections;
  for (unsigned i = 0; i < header->e_shnum; ++i) {
    const std::optional<Section> section =
        record_at<Section>(file, header->e_shoff + std::uint64_t{i} * sizeof(Section));
    if (!section) return std::nullopt;
    sections.push_back(*section);
  }
  return sections;
}

template <typename Header, typename Section>
std::optional<ObjectSizes> sum_sections(std::span<const std::byte> file) {
  const auto sections = sections_of<Header, Section>(file);
  if (!sections) return std::nullopt;
  ObjectSizes sizes;
  for (const Section& section : *sections)
    if ((section.sh_flags & SHF_ALLOC) != 0)
      ((section.sh_flags & SHF_EXECINSTR) != 0 ? sizes.code_bytes : sizes.constant_bytes) +=
          section.sh_size;
  return sizes;
}

// The text at `offset` of a section of texts that end in 0.
template <typename Section>
std::optional<std::string> text_at(std::span<const std::byte> file, const Section& section,
                                   std::uint64_t offset) {
  if (section.sh_offset > file.size() || file.size() - section.sh_offset < section.sh_size ||
      offset >= section.sh_size)
    return std::nullopt;
  const std::span<const std::byte> texts = file.subspan(section.sh_offset, section.sh_size);
  std::string text;
  for (std::uint64_t i = offset; i < texts.size(); ++i) {
    if (texts[i] == std::byte{0}) return text;
    text += std::to_integer<char>(texts[i]);
  }
  return std::nullopt;
}

template <typename Header, typename Section, typename Entry>
std::vector<Symbol> list_symbols(std::span<const std::byte> file) {
  const auto sections = sections_of<Header, Section>(file);
  std::vector<Symbol> symbols;
  if (!sections) return symbols;
  for (const Section& section : *sections) {
    if (section.sh_type != SHT_SYMTAB || section.sh_link >= sections->size()) continue;
    for (std::uint64_t at = 0; at + sizeof(Entry) <= section.sh_size; at += sizeof(Entry)) {
      const std::optional<Entry> entry = record_at<Entry>(file, section.sh_offset + at);
      if (!entry) break;
      const unsigned type = entry->st_info & 0xfU;  // the same in both sizes of file
      if (entry->st_shndx == SHN_UNDEF || entry->st_size == 0 ||
          (type != STT_FUNC && type != STT_OBJECT))
        continue;
      if (auto name = text_at(file, (*sections)[section.sh_link], entry->st_name))
        symbols.push_back({*std::move(name), entry->st_size, type == STT_FUNC});
    }
  }
  return symbols;
}

bool is_little_endian_elf(std::span<const std::byte> file) {
  return file.size() >= EI_NIDENT && std::memcmp(file.data(), ELFMAG, SELFMAG) == 0 &&
         std::to_integer<int>(file[EI_DATA]) == ELFDATA2LSB;
}

}  // namespace

std::optional<ObjectSizes> object_sizes(std::span<const std::byte> file) {
  if (!is_little_endian_elf(file)) return std::nullopt;
  switch (std::to_integer<int>(file[EI_CLASS])) {
    case ELFCLASS32:
      return sum_sections<Elf32_Ehdr, Elf32_Shdr>(file);
    case ELFCLASS64:
      return sum_sections<Elf64_Ehdr, Elf64_Shdr>(file);
    default:
      return std::nullopt;
  }
}

std::vector<Symbol> object_symbols(std::span<const std::byte> file) {
  if (!is_little_endian_elf(file)) return {};
  switch (std::to_integer<int>(file[EI_CLASS])) {
    case ELFCLASS32:
      return list_symbols<Elf32_Ehdr, Elf32_Shdr, Elf32_Sym>(file);
    case ELFCLASS64:
      return list_symbols<Elf64_Ehdr, Elf64_Shdr, Elf64_Sym>(file);
    default:
      return {};
  }
}

}  // namespace lockstep::verify
