#include "compile/checkpoint/pickle.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/support/input_error.h"

using namespace lockstep;
using test::contains;
using test::input_error_of;

namespace {

std::string error_of(const std::string& program) {
  return input_error_of([&] { pickle::unpickle(std::as_bytes(std::span(program)), "p"); });
}
std::string repeated(const std::string& text, std::size_t times) {
  std::string result;
  for (std::size_t i = 0; i < times; ++i) result += text;
  return result;
}

}  // namespace

TEST_CASE("integers have their value and sign") {
  constexpr char kProgram[] =
      "(K\xffM\xff\xffJ\xfe\xff\xff\xff\x8a\x00\x8a\x01\xff\x8a\x02\x00\x80\x8a\x08\x00\x00\x00\x00"
      "\x00\x00\x00\x80t.";
  const std::string program(kProgram, sizeof(kProgram) - 1);
  const pickle::Unpickled result = pickle::unpickle(std::as_bytes(std::span(program)), "p");
  std::vector<std::int64_t> values;
  for (const pickle::ValueIndex item : std::get<pickle::Tuple>(result[result.root]).items)
    values.push_back(std::get<std::int64_t>(result[item]));
  CHECK(values == std::vector<std::int64_t>{255, 65535, -2, 0, -1, -32768, INT64_MIN});
}

TEST_CASE(
    "a program that is truncated, underflows or leaves a wrong stack is refused with its byte") {
  CHECK(error_of("N.") == "(no error)");
  for (const std::string program :
       {"", "N", "K", "M\x01", "J\x01\x01\x01",
        "X\xff\xff\xff\xff"
        "a",
        "X\x02", "cabc", "cabc\ndef", "G123", "\x8a", "\x8a\x04\x01", "\x80",
        "\x95"
        "1234567",
        "\x8d\xff\xff\xff\xff\xff\xff\xff\xff"})
    CHECK_MESSAGE(contains(error_of(program), "truncated"), program);
  for (const std::string program :
       {"R.", "s.", "b.", "\x85.", "\x87.", "Q.", "a.", "Nq", "(Nt\x86.", "}(\x85"})
    CHECK_MESSAGE(error_of(program) != "(no error)", program);
  for (const std::string program : {"t.", "u.", "}u.", "e."})
    CHECK_MESSAGE(contains(error_of(program), "no mark"), program);
  CHECK(contains(error_of("."), "another depth"));
  CHECK(contains(error_of("NN."), "another depth"));
  CHECK(contains(error_of("N(."), "another depth"));
  CHECK(contains(error_of("N.N"), "bytes after the end"));
  CHECK(contains(error_of("(Nq"), "truncated"));
  CHECK(contains(error_of("(q\x01"), "stack underflow"));
  CHECK(contains(error_of("h\x01."), "memo entry 1 was never written"));
  CHECK(contains(error_of("}(Nu."), "a dict item without a value"));
  CHECK(contains(error_of("NNNs."), "a dict expected"));
  CHECK(contains(error_of("}Nb."), "attributes expected"));
  CHECK(contains(error_of("}}b."), "attributes of a plain dict"));
}

TEST_CASE("opcodes and globals outside the whitelist are refused") {
  for (int opcode = 0; opcode < 256; ++opcode) {
    const std::string known =
        "(.N\x88\x89KMJ\x8aGX\x8c\x8d)\x85\x86\x87t]ae}subc\x93RQqr\x94hj\x80\x95";
    if (known.find(static_cast<char>(opcode)) == std::string::npos)
      CHECK_MESSAGE(contains(error_of(std::string("NNN") + static_cast<char>(opcode)),
                             "is not allowed in a state dict"),
                    opcode);
  }
  CHECK(contains(error_of("cos\nsystem\n."), "p: byte 0: global 'os.system' is not allowed"));
  CHECK(contains(error_of("c__builtin__\neval\n."), "is not allowed"));
  CHECK(contains(error_of(std::string("\x8c\x02os\x8c\x06system\x93.")),
                 "global 'os.system' is not allowed"));
  CHECK(contains(error_of(fmt::format("c{}\ny\n.", std::string(300, 'x'))), "too long"));
  CHECK(contains(error_of("ctorch\nfunction\n."), "is not allowed"));
}

TEST_CASE("functions are called only with the arguments that torch.save gives them") {
  CHECK(error_of("ccollections\nOrderedDict\n)R.") == "(no error)");
  CHECK(contains(error_of("ccollections\nOrderedDict\nN\x85R."), "OrderedDict with arguments"));
  CHECK(contains(error_of("ccollections\nOrderedDict\nNR."), "arguments expected"));
  CHECK(contains(error_of("N)R."), "a function that is allowed here expected"));
  CHECK(contains(error_of("ctorch._utils\n_rebuild_tensor_v2\n)R."), "6 or 7 arguments"));
  CHECK(contains(error_of("ctorch._utils\n_rebuild_tensor_v2\n(NNNNNNtR."), "expected"));
  CHECK(contains(error_of("ctorch._utils\n_rebuild_parameter\n)R."), "3 arguments"));
  CHECK(contains(error_of("ctorch.jit._pickle\nrestore_type_tag\n)R."), "2 arguments"));
  CHECK(contains(error_of("NQ."), "a persistent id expected"));
  CHECK(contains(error_of(")Q."), "names no storage"));
  CHECK(contains(error_of("\x80\x01N."), "protocol 1"));
  CHECK(contains(error_of("\x80\x06N."), "protocol 6"));
  CHECK(contains(error_of("N\x80\x02."), "protocol 2"));
  CHECK(contains(error_of("\x8a\x09"
                          "123456789."),
                 "more than 64 bits"));
}

TEST_CASE("cycles and deep nesting neither leak nor overflow the call stack") {
  CHECK(error_of("}q\x01"
                 "Nh\x01s.") == "(no error)");  // a dict that holds itself
  CHECK(error_of(fmt::format("N{}.", repeated("\x85", 1'000'000))) == "(no error)");
}

// Without the limit, 300,000 tensors that name one tuple of 900,000 integers take hours.
TEST_CASE("a size or stride tuple that no tensor can have is refused") {
  const auto tensor = [](std::size_t size, std::size_t stride) {
    return fmt::format(
        "ctorch._utils\n_rebuild_tensor_v2\n((\x8c\x07{}ctorch\nFloatStorage\n\x8c\x01{}\x8c\x03{}"
        "K\x01tQK\x01({}t({}t\x89}}tR.",
        "storage", "0", "cpu", repeated("K\x01", size), repeated("K\x01", stride));
  };
  CHECK(error_of(tensor(64, 64)) == "(no error)");
  CHECK(contains(error_of(tensor(65, 1)), "a tensor size of 65 integers, but at most 64"));
  CHECK(contains(error_of(tensor(1, 900'000)), "a tensor stride of 900000 integers"));
}

TEST_CASE("values, stack, marks and memo are limited") {
  CHECK(contains(error_of(repeated("N", 1'000'001)), "a stack of more than 1000000"));
  CHECK(contains(error_of(repeated("(", 1'000'001)), "more than 1000000 marks"));
  CHECK(contains(error_of(fmt::format("N{}", repeated("\x85", 2'600'000))),
                 "more than 2500000 values"));
  CHECK(contains(error_of(fmt::format("N{}", repeated("\x94", 2'600'000))),
                 "more than 2500000 memo"));
}
