// xtensor's xnpy.hpp trusts the header (it allocates whatever shape it names and does not notice a
// truncated file), so the header is parsed here: a small, strict grammar, checked against the
// file's size before anything is allocated.
#include "compile/support/npy.h"

#include <fmt/format.h>

#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "compile/support/error.h"
#include "compile/support/files.h"

static_assert(std::endian::native == std::endian::little, "elements are copied as they lie");

namespace lockstep {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 30;
constexpr std::size_t kMaxRank = 32;  // NumPy's own limit
constexpr std::string_view kMagic = "\x93NUMPY";

struct Header {
  std::string descr;
  bool fortran_order = false;
  std::vector<std::int64_t> shape;
};

// The Python literal {'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), } in any key order.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& path) : text_(text), path_(path) {}

  Header parse() {
    Header header;
    bool have_descr = false, have_order = false, have_shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string key = quoted();
      expect(':');
      if (key == "descr" && !have_descr) {
        if (peek() == '[') fail("structured element types are not supported");
        header.descr = quoted();
        have_descr = true;
      } else if (key == "fortran_order" && !have_order) {
        header.fortran_order = boolean();
        have_order = true;
      } else if (key == "shape" && !have_shape) {
        header.shape = tuple();
        have_shape = true;
      } else {
        fail(fmt::format("unexpected or repeated header key '{}'", key));
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (at_ != text_.size()) fail("text after the header's closing brace");
    if (!have_descr || !have_order || !have_shape)
      fail("the header lacks one of 'descr', 'fortran_order', 'shape'");
    return header;
  }

 private:
  [[noreturn]] void fail(std::string_view reason) const {
    throw InputError(fmt::format("{}: not a valid .npy file: {}", path_, reason));
  }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  char peek() {
    skip_space();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool accept(char wanted) {
    if (peek() != wanted || at_ == text_.size()) return false;
    ++at_;
    return true;
  }
  void expect(char wanted) {
    if (!accept(wanted)) fail(fmt::format("'{}' expected at header byte {}", wanted, at_));
  }
  std::string quoted() {
    const char quote = peek() == '"' ? '"' : '\'';
    expect(quote);
    const std::size_t end = text_.find(quote, at_);
    if (end == std::string_view::npos || end - at_ > 32) fail("unterminated string in the header");
    const std::string_view value = text_.substr(at_, end - at_);
    for (const char c : value)
      if (c < ' ' || c > '~') fail("a control character in the header");
    at_ = end + 1;
    return std::string(value);
  }
  bool boolean() {
    skip_space();
    for (const auto& [word, value] :
         {std::pair{std::string_view("True"), true}, std::pair{std::string_view("False"), false}})
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return value;
      }
    fail("'fortran_order' is neither True nor False");
  }
  std::vector<std::int64_t> tuple() {
    std::vector<std::int64_t> shape;
    expect('(');
    bool after_comma = true;
    while (!accept(')')) {
      if (!after_comma) fail("',' expected in 'shape'");
      skip_space();
      std::int64_t dim = 0;
      const char* const first = text_.data() + at_;
      const auto [end, error] = std::from_chars(first, text_.data() + text_.size(), dim);
      if (error != std::errc() || dim < 0) fail("'shape' has an entry that is no dimension");
      at_ += static_cast<std::size_t>(end - first);
      if (shape.size() == kMaxRank) fail(fmt::format("more than {} dimensions", kMaxRank));
      shape.push_back(dim);
      after_comma = accept(',');
    }
    if (shape.size() == 1 && !after_comma) fail("'shape' is no tuple");
    return shape;
  }

  std::string_view text_;
  const std::string& path_;
  std::size_t at_ = 0;
};

// The element count, or nothing when it exceeds every possible file.
std::optional<std::int64_t> element_count(const std::vector<std::int64_t>& shape) {
  std::int64_t count = 1;
  for (const std::int64_t dim : shape)
    if (dim == 0) return 0;
  for (const std::int64_t dim : shape)
    if (__builtin_mul_overflow(count, dim, &count)) return std::nullopt;
  return count;
}

template <typename Stored, typename T>
NpyArray<T> convert(std::vector<std::int64_t> shape, std::span<const std::byte> data) {
  NpyArray<T> array{std::move(shape), {}};
  array.values.resize(data.size() / sizeof(Stored));
  for (std::size_t i = 0; i < array.values.size(); ++i) {
    Stored stored;
    std::memcpy(&stored, data.data() + i * sizeof(Stored), sizeof(Stored));
    array.values[i] = static_cast<T>(stored);
  }
  return array;
}

struct ElementType {
  std::string_view descr;
  std::size_t bytes;
  AnyNpyArray (*convert)(std::vector<std::int64_t> shape, std::span<const std::byte> data);
};

template <typename Stored, typename T>
AnyNpyArray convert_any(std::vector<std::int64_t> shape, std::span<const std::byte> data) {
  return convert<Stored, T>(std::move(shape), data);
}

constexpr ElementType kElementTypes[] = {
    {"|u1", 1, convert_any<std::uint8_t, std::int64_t>},
    {"|i1", 1, convert_any<std::int8_t, std::int64_t>},
    {"<i2", 2, convert_any<std::int16_t, std::int64_t>},
    {"<i4", 4, convert_any<std::int32_t, std::int64_t>},
    {"<i8", 8, convert_any<std::int64_t, std::int64_t>},
    {"<f4", 4, convert_any<float, float>},
};

std::size_t little_endian(std::span<const std::byte> bytes) {
  std::size_t value = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i)
    value |= std::to_integer<std::size_t>(bytes[i]) << (8 * i);
  return value;
}

template <typename T>
void write(const std::filesystem::path& path, std::string_view descr, const NpyArray<T>& array) {
  const std::optional<std::int64_t> count = element_count(array.shape);
  LOCKSTEP_ASSERT(count && static_cast<std::size_t>(*count) == array.values.size());
  std::string dims;
  for (const std::int64_t dim : array.shape) dims += fmt::format("{}, ", dim);
  if (array.shape.size() == 1) dims.pop_back();              // "(3,)"
  if (array.shape.size() > 1) dims.resize(dims.size() - 2);  // "(2, 3)"
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", descr, dims);
  constexpr std::size_t kAlignment = 64, kBeforeHeader = 10;
  header.append(kAlignment - (kBeforeHeader + header.size() + 1) % kAlignment, ' ');
  header += '\n';
  LOCKSTEP_ASSERT(header.size() <= std::numeric_limits<std::uint16_t>::max());

  std::string text(kMagic);
  text += {'\x01', '\x00', static_cast<char>(header.size() & 0xff),
           static_cast<char>(header.size() >> 8)};
  text += header;
  text.append(reinterpret_cast<const char*>(array.values.data()), array.values.size() * sizeof(T));
  write_file_atomically(path, text);
}

}  // namespace

AnyNpyArray read_npy(const std::filesystem::path& path) {
  const std::string name = path.string();
  const std::vector<std::byte> file = read_file(path, kMaxFileBytes);
  const std::span<const std::byte> bytes(file);
  if (bytes.size() < 10 || std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0)
    throw InputError(fmt::format("{}: not a .npy file (no NumPy magic number)", name));
  const int major = std::to_integer<int>(bytes[6]), minor = std::to_integer<int>(bytes[7]);
  if (major < 1 || major > 3 || minor != 0)
    throw InputError(
        fmt::format("{}: .npy version {}.{}, but 1.0 to 3.0 are supported", name, major, minor));
  const std::size_t length_bytes = major == 1 ? 2 : 4;
  const std::size_t header_at = 8 + length_bytes;
  if (bytes.size() < header_at) throw InputError(fmt::format("{}: truncated header", name));
  const std::size_t header_size = little_endian(bytes.subspan(8, length_bytes));
  if (header_size > bytes.size() - header_at)
    throw InputError(fmt::format("{}: truncated: the header has {} bytes, the file {}", name,
                                 header_size, bytes.size()));
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + header_at, header_size);
  Header header = HeaderParser(text, name).parse();

  const ElementType* type = nullptr;
  for (const ElementType& candidate : kElementTypes)
    if (candidate.descr == header.descr) type = &candidate;
  if (type == nullptr)
    throw InputError(fmt::format(
        "{}: element type '{}', but uint8, int8, int16, int32, int64 and float32 (little endian) "
        "are supported",
        name, header.descr));
  if (header.fortran_order)
    throw InputError(fmt::format(
        "{}: Fortran order, but only C order is supported (numpy.ascontiguousarray)", name));
  const std::span<const std::byte> data = bytes.subspan(header_at + header_size);
  const std::optional<std::int64_t> count = element_count(header.shape);
  std::size_t wanted = 0;
  if (!count || __builtin_mul_overflow(static_cast<std::size_t>(*count), type->bytes, &wanted))
    throw InputError(
        fmt::format("{}: shape ({}) is too large", name, fmt::join(header.shape, ", ")));
  if (wanted != data.size())
    throw InputError(fmt::format("{}: shape ({}) needs {} bytes of data, but the file has {}", name,
                                 fmt::join(header.shape, ", "), wanted, data.size()));
  return type->convert(std::move(header.shape), data);
}

void write_npy(const std::filesystem::path& path, const NpyArray<std::int32_t>& array) {
  write(path, "<i4", array);
}
void write_npy(const std::filesystem::path& path, const NpyArray<float>& array) {
  write(path, "<f4", array);
}

}  // namespace lockstep
