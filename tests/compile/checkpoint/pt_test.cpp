// The .pt reader against the real writer, and the .pt writer against the real reader:
// /usr/bin/python3 with torch writes files and says in a .safetensors file of its own what they
// hold, and reads what is written here.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdlib>
#include <map>

#include "compile/checkpoint/state_dict.h"
#include "compile/support/files.h"
#include "tests/compile/checkpoint/tensors.h"
#include "tests/support/input_error.h"
#include "tests/support/temporary_folder.h"

using namespace lockstep;
using test::contains;
using test::input_error_of;
using test::TemporaryFolder;

namespace {

// Runs Python with torch; `save(name, dict, object=None, **options)` writes <name>.pt and, with the
// tensors of `dict`, <name>.safetensors. `rewrite(name, new_name, change)` copies an archive
// through change({entry: bytes}) -> [(entry, bytes)].
const std::string kPrelude = R"(
import collections, io, json, pickle, struct, sys, zipfile, zlib
import numpy, torch
OD = collections.OrderedDict
NAMES = {torch.float32: 'F32', torch.float64: 'F64', torch.int64: 'I64', torch.int32: 'I32', torch.int16: 'I16',
         torch.int8: 'I8', torch.uint8: 'U8', torch.bool: 'BOOL'}
def save(name, tensors, content=None, **options):
    torch.save(tensors if content is None else content, name + '.pt', **options)
    header, data = {}, b''
    for key, tensor in tensors.items():
        raw = tensor.detach().contiguous().numpy().tobytes()
        header[key] = dict(dtype=NAMES[tensor.dtype], shape=list(tensor.shape),
                           data_offsets=[len(data), len(data) + len(raw)])
        data += raw
    text = json.dumps(header).encode()
    open(name + '.safetensors', 'wb').write(struct.pack('<Q', len(text)) + text + data)
def rewrite(name, new_name, change, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(name + '.pt') as old:
        entries = change({e: old.read(e) for e in old.namelist()})
    with zipfile.ZipFile(new_name + '.pt', 'w', method) as new:
        for entry, content in (entries.items() if isinstance(entries, dict) else entries):
            new.writestr(entry, content)
a = torch.arange(6, dtype=torch.float32).reshape(2, 3)
)";

class PythonFiles {
 public:
  explicit PythonFiles(const std::string& script) {
    write_file_atomically(folder_ / "script.py", kPrelude + script);
    const std::string command =
        fmt::format("cd '{}' && /usr/bin/python3 -W ignore script.py", folder_.path().string());
    REQUIRE(std::system(command.c_str()) == 0);
  }
  std::vector<std::byte> bytes(const std::string& name) const {
    return read_file(folder_ / (name + ".pt"));
  }
  StateDict read(const std::string& name) const {
    return read_state_dict(folder_ / (name + ".pt"));
  }
  StateDict expected(const std::string& name) const {
    return read_state_dict(folder_ / (name + ".safetensors"));
  }
  std::string error(const std::string& name) const {
    return input_error_of([&] { parse_pt(bytes(name), "s.pt"); });
  }

 private:
  TemporaryFolder folder_;
};

// `expected`: by file name, a part of the message.
void check_errors(const PythonFiles& files, const std::map<std::string, std::string>& expected) {
  for (const auto& entry : expected) {
    const std::string message = files.error(entry.first);
    CHECK_MESSAGE(contains(message, entry.second), entry.first, " -> ", message);
  }
}

// Accepted files must hold exactly the tensors of `original`, whatever else changed.
enum class Outcome { kRefused, kSame, kOther };
Outcome read_changed(const std::vector<std::byte>& bytes, const StateDict& original) {
  try {
    return test::same(parse_pt(bytes, "s.pt"), original) ? Outcome::kSame : Outcome::kOther;
  } catch (const InputError&) {
    return Outcome::kRefused;
  }
}

}  // namespace

TEST_CASE("every kind of state dict that torch.save writes is read to the last bit") {
  const PythonFiles files(R"(
save('ordered', OD([('w', a), ('m', torch.tensor([True, False]))]))
save('plain', {'b': a, 'a': a * 2})
save('nested', OD([('w', a)]), {'epoch': 3, 'lr': 0.1, 'state_dict': OD([('w', a)]), 'notes': [None, (1, 2), 'x', -70000, 2**40]})
save('module', torch.nn.Conv2d(2, 3, 3).state_dict())
save('parameter', {'p': torch.nn.Parameter(a), 'fixed': torch.nn.Parameter(a[1:, 1:], requires_grad=False), 'shared': a.t()})
batch_norm = torch.nn.Sequential(torch.nn.BatchNorm1d(2))
batch_norm(torch.randn(5, 2))
assert batch_norm.state_dict()._metadata
save('metadata', batch_norm.state_dict())
save('nested module', batch_norm.state_dict(), {'state_dict': batch_norm.state_dict(), 'optimizer': torch.optim.Adam(batch_norm.parameters()).state_dict()})
save('transposed', {'t': a.t(), 'slice': a[:, 1:], 'step': torch.arange(20.)[3:17:4], 'deep': torch.arange(120.).reshape(2, 3, 4, 5).permute(3, 1, 0, 2)[1:, :, :, 1:]})
save('expanded', {'e': torch.tensor([[1.], [2.]]).expand(2, 5), 's': torch.tensor(3.).expand(2, 2), 'o': torch.arange(6.).as_strided((3, 3), (1, 1), 1)})
save('shared', {'a': a, 'b': a, 'row': a[1]})
save('dtypes', {'f64': torch.tensor([0.1, -1e300], dtype=torch.float64), 'i64': torch.tensor([-2**63, 2**63 - 1]),
                'i32': torch.tensor([-1], dtype=torch.int32), 'i16': torch.tensor([-5, 6], dtype=torch.int16),
                'i8': torch.tensor([-128], dtype=torch.int8), 'u8': torch.tensor([255], dtype=torch.uint8),
                'bool': torch.tensor([[True], [False]])})
save('shapes', {'rank 0': torch.tensor(-1, dtype=torch.int32), 'empty': torch.zeros(0, 3), 'empty 2': torch.zeros(2, 0), 'ones': torch.ones(1, 1, 1, 1, 1)})
save('special', {'f': torch.tensor([float('nan'), float('inf'), -float('inf'), -0.0, 1e-45])})
save('none', OD())
save('many', {'layer%d.weight' % i: torch.full((i % 5,), float(i)) for i in range(700)})
save('long', {'k' * 300: a})
for protocol in (3, 4, 5): save('protocol%d' % protocol, OD([('w', a), ('m', torch.tensor([True]))]), pickle_protocol=protocol)
# What torch 2 adds to the archive.
save('w2', OD([('w', a)]))
save('torch2', OD([('w', a)]))
rewrite('w2', 'torch2', lambda e: dict(e, **{'w2/byteorder': b'little', 'w2/.data/serialization_id': b'0' * 40, 'w2/.format_version': b'1', 'w2/.storage_alignment': b'64'}))
)");
  for (const std::string name :
       {"ordered",  "plain",         "nested",     "module",    "parameter",
        "metadata", "nested module", "transposed", "expanded",  "shared",
        "dtypes",   "shapes",        "special",    "none",      "many",
        "long",     "protocol3",     "protocol4",  "protocol5", "torch2"}) {
    CAPTURE(name);
    CHECK(test::same(files.read(name), files.expected(name)));
  }
}

TEST_CASE("what is no state dict is refused by name") {
  const PythonFiles files(R"(
class Custom:
    def __reduce__(self): return (print, ('never',))
torch.save({'w': Custom()}, 'code.pt')
torch.save({'w': torch.nn.Linear(1, 1)}, 'module.pt')
torch.save(a, 'tensor.pt')
torch.save([a], 'list.pt')
torch.save({'w': 3}, 'number.pt')
torch.save({3: a}, 'key.pt')
torch.save({'w': a.half()}, 'half.pt')
torch.save({'w': a.bfloat16()}, 'bfloat16.pt')
torch.save({'w': a.to_sparse()}, 'sparse.pt')
torch.save({'w': torch.complex(a, a)}, 'complex.pt')
torch.save({'w': numpy.ones(3)}, 'numpy.pt')
torch.save({'a\nb': a}, 'control.pt')
torch.save({'a\nb': 3}, 'control_number.pt')
for protocol in (2, 3, 4, 5): torch.save({'w': a}, 'legacy%d.pt' % protocol, _use_new_zipfile_serialization=False, pickle_protocol=protocol)
torch.save(OD([('a.b', a), ('c', OD([('state_dict', a)])), ('fc.weight', a.half())]), 'second.pt')
torch.save({'state_dict': {'fc.weight': torch.nn.Parameter(a.bfloat16())}}, 'nested_half.pt')
torch.save({'state_dict': {'w': a}, 'ema': {'w': a.half()}}, 'half_beside.pt')
open('set.pt', 'wb').write(b'')
torch.save({'w': {1, 2}}, 'set.pt')
)");
  const std::map<std::string, std::string> expected = {
      {"code",
       "s.pt: data.pkl: byte 13: global '__builtin__.print' is not allowed in a state dict"},
      {"module", "global 'torch.nn.modules.linear.Linear' is not allowed"},
      {"tensor", "not a dictionary of tensors"},
      {"list", "not a dictionary of tensors"},
      {"number", "key 'w' holds no tensor"},
      {"key", "a key of the state dict is no text"},
      {"half",
       "s.pt: 'w': element type HalfStorage is not supported; save it as float32: tensor.float()"},
      {"bfloat16", "s.pt: 'w': element type BFloat16Storage is not supported; "},
      {"second", "s.pt: key 'c' holds no tensor"},
      {"nested_half", "s.pt: 'fc.weight': element type BFloat16Storage is not supported"},
      {"half_beside", "(no error)"},
      {"sparse", "is not allowed in a state dict"},
      {"complex", "s.pt: 'w': element type ComplexFloatStorage is not supported"},
      {"numpy", "is not allowed in a state dict"},
      {"control", "control characters"},
      {"control_number", "key 'a?b' holds no tensor"},
      {"legacy2", "not an intact zip archive"},
      {"set", "is not allowed in a state dict"},
  };
  check_errors(files, expected);
  for (const std::string name : {"legacy2", "legacy3", "legacy4", "legacy5"})
    CHECK(contains(input_error_of([&] { files.read(name); }),
                   name +
                       ".pt: the format of torch.save before 1.6 (not a zip archive); load it and "
                       "save it again with torch 1.6 or newer"));
}

TEST_CASE("torch.load reads what to_pt writes, also with weights_only: same keys, dtypes, values") {
  StateDict state;
  const auto add = [&](const std::string& key, Dtype dtype, std::vector<std::int64_t> shape) {
    Tensor tensor{dtype, std::move(shape), {}};
    tensor.bytes.resize(static_cast<std::size_t>(tensor.element_count()) * byte_size(dtype));
    for (std::size_t i = 0; i < tensor.bytes.size(); ++i)
      tensor.bytes[i] = static_cast<std::byte>(dtype == Dtype::kBool ? i % 2 : 37 * i + key.size());
    state.add(key, tensor);
  };
  add("z.weight", Dtype::kFloat32, {3, 1, 5, 5});
  add("z.mask", Dtype::kBool, {7});
  add("z.bits", Dtype::kInt32, {});
  add("a", Dtype::kFloat64, {2});
  add("b", Dtype::kInt64, {1, 1});
  add("c", Dtype::kInt16, {300, 2});
  add("d", Dtype::kInt8, {70000});
  add("e", Dtype::kUint8, {0, 3});
  add("f \xc3\xa9 \"'", Dtype::kBool, {2, 0});
  add(std::string(300, 'k'), Dtype::kInt32, {1});
  for (int i = 0; i < 300; ++i) add(fmt::format("layer{}.bias", i), Dtype::kFloat32, {i % 3});
  for (const StateDict& content : {state, StateDict()}) {
    const std::vector<std::byte> bytes = to_pt(content);
    CHECK(to_pt(content) == bytes);
    CHECK(test::same(parse_pt(bytes, "s.pt"), content));
    const TemporaryFolder folder;
    write_file_atomically(folder / "s.pt", std::span<const std::byte>(bytes));
    write_file_atomically(folder / "s.safetensors",
                          std::span<const std::byte>(to_safetensors(content)));
    const std::string command = fmt::format("/usr/bin/python3 " LOCKSTEP_TEST_DATA
                                            "/train/compare_state.py '{0}/s.pt' "
                                            "'{0}/s.safetensors'",
                                            folder.path().string());
    CHECK(std::system(command.c_str()) == 0);
  }
}

TEST_CASE("an archive that torch.save would not write is refused") {
  const PythonFiles files(R"(
save('w', OD([('w', a)]))
rewrite('w', 'same', lambda e: e)
rewrite('w', 'deflated', lambda e: e, zipfile.ZIP_DEFLATED)
rewrite('w', 'twice', lambda e: list(e.items()) + [('w/data/0', e['w/data/0'])])
rewrite('w', 'no_storage', lambda e: {k: v for k, v in e.items() if k != 'w/data/0'})
rewrite('w', 'no_program', lambda e: {k: v for k, v in e.items() if k != 'w/data.pkl'})
rewrite('w', 'no_version', lambda e: {k: v for k, v in e.items() if k != 'w/version'})
rewrite('w', 'two_programs', lambda e: dict(e, **{'x/data.pkl': e['w/data.pkl']}))
rewrite('w', 'outside', lambda e: dict(e, **{'x/data/0': b''}))
rewrite('w', 'short_storage', lambda e: dict(e, **{'w/data/0': e['w/data/0'][:-1]}))
rewrite('w', 'long_storage', lambda e: dict(e, **{'w/data/0': e['w/data/0'] + b'0000'}))
rewrite('w', 'big_endian', lambda e: dict(e, **{'w/byteorder': b'big'}))
rewrite('w', 'version', lambda e: dict(e, **{'w/version': b'x'}))
with zipfile.ZipFile('empty.pt', 'w'): pass
)");
  const std::map<std::string, std::string> expected = {
      {"same", "(no error)"},
      {"deflated", "only stored entries are read"},
      {"twice", "not an intact zip archive: File already exists"},
      {"no_storage", "'w': its storage is missing"},
      {"no_program", "no data.pkl"},
      {"no_version", "'version' is missing"},
      {"two_programs", "more than one data.pkl"},
      {"outside", "an entry outside the folder w/"},
      {"short_storage", "its storage has 23 bytes, but 6 elements of float32"},
      {"long_storage", "its storage has 28 bytes"},
      {"big_endian", "byteorder is not 'little'"},
      {"version", "'version' is no number"},
      {"empty", "no data.pkl"},
  };
  check_errors(files, expected);
}

TEST_CASE("views that leave their storage, overflow or expand without limit are refused") {
  const PythonFiles files(R"(
def view(name, shape, strides, offset=0, count=6):
    save('w', OD([('w', a)]))
    class Storage:
        pass
    program = (b'\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\n'
               b'FloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu' + number(count) + b'tQ' + number(offset) +
               b'(' + b''.join(map(number, shape)) + b't(' + b''.join(map(number, strides)) +
               b't\x89ccollections\nOrderedDict\n)RtRs.')
    rewrite('w', name, lambda e: dict(e, **{'w/data.pkl': program}))
def number(n):
    raw = n.to_bytes(8, 'little', signed=True)
    return b'\x8a\x08' + raw
view('good', [2, 3], [3, 1])
view('past', [2, 3], [3, 2])
view('offset', [2, 3], [3, 1], 1)
view('negative_offset', [1], [1], -1)
view('negative_stride', [2], [-1], 3)
view('negative_size', [-1], [1])
view('ranks', [2, 3], [1])
view('count', [2, 3], [3, 1], 0, 7)
view('negative_count', [2, 3], [3, 1], 0, -6)
view('huge_count', [1], [1], 0, 2**62 + 6)
view('product', [2**32, 2**32], [0, 0])
view('wrap', [4194305, 4194305, 211106198978564], [0, 0, 0])
view('expand', [2**40], [0])
view('expand_some', [2**20, 2**6], [0, 0])
view('span', [3, 3], [2**62, 2**62])
view('single', [2, 1, 3], [3, 2**63 - 1, 1])
view('single_between', [3, 1, 2], [1, 2**63 - 1, 3])
view('single_negative', [1, 6], [-2**63, 1])
view('singles', [1, 1], [2**63 - 1, 2**63 - 1], 5)
view('empty_past', [0], [1], 7)
view('empty', [0, 2**60], [1, 1], 6)
)");
  const std::map<std::string, std::string> expected = {
      {"good", "(no error)"},
      {"past", "leave its storage of 6 elements"},
      {"offset", "leave its storage"},
      {"negative_offset", "leave its storage"},
      {"negative_stride", "leave its storage"},
      {"negative_size", "is not possible"},
      {"ranks", "is not possible"},
      {"count", "but 7 elements of float32 are declared"},
      {"negative_count", "but -6 elements"},
      {"huge_count", "elements of float32 are declared"},
      {"product", "is not possible"},
      {"wrap", "is not possible"},
      {"expand", "far larger than the file"},
      {"expand_some", "far larger than the file"},
      {"span", "leave its storage"},
      {"single", "(no error)"},
      {"single_between", "(no error)"},
      {"single_negative", "(no error)"},
      {"singles", "(no error)"},
      {"empty_past", "leave its storage"},
      {"empty", "(no error)"},
  };
  check_errors(files, expected);
  // The elements of the 2 x 3 matrix transposed, with an axis of size 1 between.
  CHECK(parse_pt(files.bytes("single_between"), "s.pt").at("w").floats("w") ==
        std::vector<float>{0, 3, 1, 4, 2, 5});
}

TEST_CASE(
    "every single-bit flip of a .pt file is refused or changes no tensor; so is every truncation") {
  const PythonFiles files(R"(
save('w', OD([('w', torch.tensor([1.5, -2.0])), ('m', torch.tensor([True, False])), ('n', torch.tensor(7, dtype=torch.int32))]))
)");
  const std::vector<std::byte> bytes = files.bytes("w");
  const StateDict original = files.read("w");
  std::map<Outcome, std::size_t> flips;
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::vector<std::byte> flipped = bytes;
    flipped[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    const Outcome outcome = read_changed(flipped, original);
    ++flips[outcome];
    CHECK_MESSAGE(outcome != Outcome::kOther, "bit ", bit % 8, " of byte ", bit / 8);
  }
  MESSAGE(bytes.size(), " bytes: ", flips[Outcome::kRefused], " flips refused, ",
          flips[Outcome::kSame], " without effect on any tensor");
  for (std::size_t size = 0; size < bytes.size(); ++size)
    CHECK_MESSAGE(read_changed({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)},
                               original) == Outcome::kRefused,
                  size);
}
