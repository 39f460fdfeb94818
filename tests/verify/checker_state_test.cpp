// The checker's reader of state dicts against the other one, on files of the real torch.save and on
// archives and programs that it would not write: the same tensors, or both refuse.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "compile/checkpoint/state_dict.h"
#include "compile/checkpoint/zip_archive.h"
#include "compile/support/error.h"
#include "compile/support/files.h"
#include "tests/support/temporary_folder.h"
#include "verify/checker/state_file.h"

namespace lockstep::test {
namespace {

// Whether both accept `bytes`; a failure where they do not agree.
bool both_accept(const std::vector<std::byte>& bytes, const std::string& name,
                 StateDict (*parse)(std::span<const std::byte>, const std::string&)) {
  StateDict expected;
  std::string expected_error, error;
  checker::State got;
  try {
    expected = parse(bytes, name);
  } catch (const InputError& refusal) {
    expected_error = refusal.what();
  }
  try {
    got = checker::parse_state(bytes, name);
  } catch (const checker::BadFile& refusal) {
    error = refusal.what();
    CHECK_MESSAGE(error.find('\n') == std::string::npos, error);
    CHECK_MESSAGE(error.starts_with(name), error);
  }
  CHECK_MESSAGE(error.empty() == expected_error.empty(), name, ": the other: ", expected_error,
                "; the checker: ", error);
  if (!error.empty() || !expected_error.empty()) return false;
  CHECK(got.size() == expected.entries().size());
  for (const auto& [key, tensor] : expected.entries()) {
    CAPTURE(key);
    REQUIRE(got.contains(key));
    CHECK(got.at(key).dtype->name == dtype_name(tensor.dtype));
    CHECK(got.at(key).shape == tensor.shape);
    CHECK(got.at(key).bytes == tensor.bytes);
  }
  return true;
}

// A file of torch.save for each name, and in `bad` what is no state dict.
constexpr const char* kScript = R"(
import collections, numpy, os, torch, zipfile
OD = collections.OrderedDict
a = torch.arange(6, dtype=torch.float32).reshape(2, 3)
n = torch.nn.Sequential(torch.nn.BatchNorm1d(2)); n(torch.randn(5, 2))
adam = torch.optim.Adam(n.parameters())
os.mkdir('good'); os.mkdir('bad')
def save(name, content, **options): torch.save(content, name + '.pt', **options)
save('good/ordered', OD([('w', a), ('m', torch.tensor([True, False]))]))
save('good/plain', {'b': a, 'a': a * 2})
save('good/nested', {'epoch': 3, 'lr': 0.1, 'state_dict': OD([('w', a)]), 'notes': [None, (1, 2), 'x', -70000, 2**40]})
save('good/module', {'state_dict': n.state_dict(), 'optimizer': adam.state_dict()})
save('good/metadata', n.state_dict())
save('good/parameter', {'p': torch.nn.Parameter(a), 'q': torch.nn.Parameter(a[1:, 1:], requires_grad=False), 't': a.t()})
save('good/views', {'s': a[:, 1:], 'step': torch.arange(20.)[3:17:4], 'e': torch.tensor([[1.], [2.]]).expand(2, 5),
                    'deep': torch.arange(120.).reshape(2, 3, 4, 5).permute(3, 1, 0, 2)[1:, :, :, 1:],
                    'o': torch.arange(6.).as_strided((3, 3), (1, 1), 1), 'a': a, 'b': a, 'row': a[1]})
save('good/dtypes', {str(t): torch.tensor([1, 0, 1]).to(t) for t in (torch.bool, torch.uint8, torch.int8, torch.int16,
                     torch.int32, torch.int64, torch.float32, torch.float64)})
save('good/shapes', {'0': torch.tensor(-1, dtype=torch.int32), 'e': torch.zeros(0, 3), 'f': torch.zeros(2, 0), 'o': torch.ones(1, 1, 1)})
save('good/special', {'f': torch.tensor([float('nan'), float('inf'), -0.0, 1e-45])})
save('good/none', OD())
save('good/many', {'layer%d.weight' % i: torch.full((i % 5,), float(i)) for i in range(700)})
for protocol in (3, 4, 5): save('good/protocol%d' % protocol, OD([('w', a)]), pickle_protocol=protocol)
save('good/half_beside', {'state_dict': {'w': a}, 'ema': {'w': a.half()}})
class Custom:
    def __reduce__(self): return (print, ('never',))
save('bad/code', {'w': Custom()})
save('bad/module', {'w': torch.nn.Linear(1, 1)})
save('bad/tensor', a)
save('bad/list', [a])
save('bad/number', {'w': 3})
save('bad/key', {3: a})
save('bad/half', {'w': a.half()})
save('bad/bfloat16', {'w': a.bfloat16()})
save('bad/complex', {'w': torch.complex(a, a)})
save('bad/sparse', {'w': a.to_sparse()})
save('bad/numpy', {'w': numpy.ones(3)})
save('bad/set', {'w': {1, 2}})
save('bad/second', OD([('a.b', a), ('c', OD([('state_dict', a)])), ('fc.weight', a)]))
for protocol in (2, 4): save('bad/legacy%d' % protocol, {'w': a}, _use_new_zipfile_serialization=False, pickle_protocol=protocol)
def rewrite(name, change, method=zipfile.ZIP_STORED, folder=''):
    with zipfile.ZipFile('good/ordered.pt') as old: entries = change({e.split('/', 1)[1]: old.read(e) for e in old.namelist()})
    with zipfile.ZipFile(name + '.pt', 'w', method) as new:
        for entry, content in entries if isinstance(entries, list) else entries.items(): new.writestr('w/' + entry, content)
        if folder: new.writestr(folder + '/data/0', b'')
rewrite('good/same', lambda e: e)
rewrite('good/torch2', lambda e: dict(e, **{'byteorder': b'little', '.data/serialization_id': b'0' * 40, '.format_version': b'1'}))
rewrite('bad/deflated', lambda e: e, zipfile.ZIP_DEFLATED)
rewrite('bad/twice', lambda e: list(e.items()) + [('data/0', e['data/0'])])
rewrite('bad/no_storage', lambda e: {k: v for k, v in e.items() if k != 'data/0'})
rewrite('bad/no_program', lambda e: {k: v for k, v in e.items() if k != 'data.pkl'})
rewrite('bad/no_version', lambda e: {k: v for k, v in e.items() if k != 'version'})
rewrite('bad/outside', lambda e: dict(e), folder='x')
rewrite('bad/short', lambda e: dict(e, **{'data/0': e['data/0'][:-1]}))
rewrite('bad/long', lambda e: dict(e, **{'data/0': e['data/0'] + b'0000'}))
rewrite('bad/big_endian', lambda e: dict(e, **{'byteorder': b'big'}))
rewrite('bad/version', lambda e: dict(e, **{'version': b'x'}))
with zipfile.ZipFile('bad/empty.pt', 'w'): pass
def number(n): return b'\x8a\x08' + n.to_bytes(8, 'little', signed=True)
def long_number(n, bytes): return b'\x8a' + bytes.to_bytes(1, 'little') + n.to_bytes(bytes, 'little')
hooks = b'ccollections\nOrderedDict\n)R'
def tensor(shape, strides, offset=0, count=6, number=number):
    return (b'ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\n'
            b'FloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu' + number(count) + b'tQ' + number(offset) +
            b'(' + b''.join(map(number, shape)) + b't(' + b''.join(map(number, strides)) + b't\x89' + hooks + b'tR')
def program(name, value):
    rewrite(name, lambda e: dict(e, **{'data.pkl': b'\x80\x02}X\x01\x00\x00\x00w' + value + b's.'}))
def view(name, *numbers, **options): program(name, tensor(*numbers, **options))
def parameter(*items): return b'ctorch._utils\n_rebuild_parameter\n(' + b''.join(items) + b'tR'
program('good/program_parameter', parameter(tensor([2, 3], [3, 1]), b'\x89', hooks))
program('bad/parameter_hooks', parameter(tensor([2, 3], [3, 1]), b'\x89', b'}X\x01\x00\x00\x00hNs'))
program('bad/parameter_short', parameter(tensor([2, 3], [3, 1]), b'\x89'))
program('bad/parameter_long', parameter(tensor([2, 3], [3, 1]), b'\x89', hooks, b'N'))
program('bad/parameter_of_number', parameter(b'K\x01', b'\x89', hooks))
view('good/view', [2, 3], [3, 1])
view('good/short_integers', [2, 3], [3, 1], number=lambda n: long_number(n, 1))
view('good/no_bytes', [2, 3], [3, 1], number=lambda n: b'\x8a\x00' if n == 0 else number(n))
view('bad/nine_bytes', [2, 3], [3, 1], number=lambda n: long_number(n, 9))
view('bad/many_bytes', [2, 3], [3, 1], number=lambda n: long_number(n, 255))
view('good/single', [2, 1, 3], [3, 2**63 - 1, 1])
view('good/single_between', [3, 1, 2], [1, 2**63 - 1, 3])
view('good/single_negative', [1, 6], [-2**63, 1])
view('good/singles', [1, 1], [2**63 - 1, 2**63 - 1], 5)
view('good/empty_view', [0, 7], [1, 1], 6)
view('bad/past', [2, 3], [3, 2])
view('bad/offset', [2, 3], [3, 1], 1)
view('bad/negative_offset', [1], [1], -1)
view('bad/negative_stride', [2], [-1], 3)
view('bad/negative_size', [-1], [1])
view('bad/negative_sizes', [-2, -3], [3, 1])
view('bad/ranks', [2, 3], [1])
view('bad/count', [2, 3], [3, 1], 0, 7)
view('bad/negative_count', [2, 3], [3, 1], 0, -6)
view('bad/huge_count', [1], [1], 0, 2**62 + 6)
view('bad/product', [2**32, 2**32], [0, 0])
view('bad/wrap', [4194305, 4194305, 211106198978564], [0, 0, 0])
view('bad/expand', [2**40], [0])
view('bad/expand_some', [2**20, 2**6], [0, 0])
view('bad/span', [3, 3], [2**62, 2**62])
view('bad/empty_past', [0], [1], 7)
view('bad/axes', [1] * 65, [1] * 65)
)";

}  // namespace

TEST_CASE("what torch.save writes is read to the last bit, and what is no state dict is refused") {
  const TemporaryFolder folder;
  std::ofstream(folder / "script.py") << kScript;
  const std::string command =
      fmt::format("cd '{}' && /usr/bin/python3 -W ignore script.py", folder.path().string());
  REQUIRE(std::system(command.c_str()) == 0);
  for (const std::string kind : {"good", "bad"}) {
    std::size_t files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder / kind)) {
      CAPTURE(entry.path().string());
      CHECK(both_accept(read_file(entry.path()), entry.path().filename(), parse_pt) ==
            (kind == "good"));
      files += 1;
    }
    CHECK(files > 20);
  }
}

TEST_CASE("safetensors may have texts of their own, and nothing else without a tensor") {
  const auto accepted = [](const std::string& metadata) {
    const std::string header = "{\"__metadata__\":" + metadata +
                               ",\"w\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}";
    std::string file(8, '\0');
    file[0] = static_cast<char>(header.size());
    file += header + "x";
    return both_accept(std::vector<std::byte>(std::as_bytes(std::span(file)).begin(),
                                              std::as_bytes(std::span(file)).end()),
                       "s.safetensors", parse_safetensors);
  };
  CHECK(accepted("{}") == true);
  CHECK(accepted("{\"format\":\"pt\"}") == true);
  for (const char* const other : {"{\"format\":1}", "[]", "\"pt\"", "null"})
    CHECK(accepted(other) == false);
}

TEST_CASE("programs that nest deeply, hold themselves or are endless do no harm") {
  const auto accepted = [](const std::string& program) {
    const ZipInput entries[] = {{"a/data.pkl", std::as_bytes(std::span(program))},
                                {"a/version", std::as_bytes(std::span("3\n", 2))}};
    return both_accept(to_zip(entries), "s.pt", parse_pt);
  };
  const auto repeated = [](char opcode, std::size_t times) { return std::string(times, opcode); };
  CHECK(accepted("}."));
  CHECK(accepted("}q\x01X\x01" + std::string(3, '\0') + "xh\x01s.") == false);  // holds itself
  CHECK(accepted("}X\x0a" + std::string(3, '\0') + "state_dict}X\x01" + std::string(3, '\0') +
                 "x]sss.") == false);
  CHECK(accepted("N" + repeated('\x85', 1'000'000) + ".") == false);
  CHECK(accepted("]" + repeated('\x94', 100) + "N" + repeated('\x85', 1000) + "a0.") == false);
  CHECK(accepted("N" + repeated('\x85', 2'600'000) + ".") == false);
  CHECK(accepted(repeated('N', 1'000'001)) == false);
  CHECK(accepted(repeated('(', 1'000'001)) == false);
  for (const std::string program : {"", "N", "K", "X\xff\xff\xff\xff", "cabc\ndef",
                                    "\x8a\x09"
                                    "123456789.",
                                    "R.", "t.", "(Nt\x86.", "h\x01.", "}(Nu.", "NNNs.", "}}b.",
                                    "}(q\x01t.", "N\x80\x02.", "}}.", "}.}", "}(.", "(1."})
    CHECK(accepted(program) == false);
  for (int opcode = 0; opcode < 256; ++opcode)
    for (const std::string before : {"}", "}}", "}(", "})", "}(NNN"})
      accepted(before + static_cast<char>(opcode) + "\x01.");
}

TEST_CASE("programs may nest and remember as much as a state dict needs, and not one value more") {
  const auto accepted = [](const std::string& list) {
    // A list that nobody reads beside a state dict without tensors.
    const std::string program = "}X\x04" + std::string(3, '\0') + "junk]" + list + "sX\x0a" +
                                std::string(3, '\0') + "state_dict}s.";
    const ZipInput entries[] = {{"a/data.pkl", std::as_bytes(std::span(program))},
                                {"a/version", std::as_bytes(std::span("3\n", 2))}};
    return both_accept(to_zip(entries), "s.pt", parse_pt);
  };
  const auto repeated = [](std::string_view codes, std::size_t times) {
    std::string text;
    for (std::size_t i = 0; i < times; ++i) text += codes;
    return text;
  };
  // Five values are there already, and three on the stack.
  for (const std::size_t more : {0, 1}) {
    CAPTURE(more);
    CHECK(accepted(repeated("Na", 2'499'995 + more)) == (more == 0));
    CHECK(accepted(repeated("\x94", 2'500'000 + more)) == (more == 0));
    CHECK(accepted(fmt::format("({}e", repeated("N", 999'997 + more))) == (more == 0));
    CHECK(accepted(fmt::format("{}{}a", repeated("(", 1'000'000 + more),
                               repeated("t", 1'000'000 + more))) == (more == 0));
  }
}

}  // namespace lockstep::test
