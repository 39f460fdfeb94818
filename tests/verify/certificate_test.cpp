// Certificates: they hold for the files that they are about and for no others, every flipped bit is
// noticed, and nothing that can be derived again is believed. The proof is a stand-in
// (checker_doubles.cpp).
#include <doctest/doctest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "tests/end_to_end/process.h"
#include "tests/intrt/small_network.h"
#include "tools/check/summary.h"
#include "verify/checker/certificate.h"
#include "verify/checker/files.h"
#include "verify/checker/plan.h"
#include "verify/signing/signature.h"
#include "verify/signing/signing.h"

namespace {

namespace fs = std::filesystem;
using namespace lockstep::checker;
using lockstep::signing::is_signed;
using lockstep::signing::sign_file;
using lockstep::test::read_text;
using lockstep::test::TemporaryFolder;
using lockstep::test::write_text;
using Json = nlohmann::ordered_json;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::string plan_text() {
  const std::vector<std::uint8_t> plan = lockstep::testing::small_network();
  return {plan.begin(), plan.end()};
}

// A folder with the files of a verification and their certificate, C.json.
struct Verified {
  Verified() {
    fs::create_directories(path / "c");
    write_text(path / "graph.json", "the graph, ");
    write_text(path / "net.plan", plan_text());
    write_text(path / "c" / "net.c", "int main;\n");
    write_text(path / "c" / "net.h", "\n");
    write_text(path / "c" / "net_selftest.c", "int test;\n");
    certified.tool = "lockstep 0.1.0";
    certified.files = {
        certify_file(path / "graph.json", path),
        {},
        certify_file(path / "net.plan", path),
        {certify_file(path / "c" / "net.c", path), certify_file(path / "c" / "net.h", path),
         certify_file(path / "c" / "net_selftest.c", path)}};
    certified.claimed = {"proved: for every input",
                         {"--random", "64"},
                         UINT64_MAX,
                         {"synthetic", sha256(bytes_of("codes"))},
                         {{"plan (scalar)", 64, 7, 12345}}};
    weigh("the weights");
  }
  // Other weights, and the certificate for them.
  void weigh(const std::string& weights) {
    write_text(path / "state.pt", weights);
    certified.files.weights = certify_file(path / "state.pt", path);
    const std::string plan = plan_text();
    certified.proof =
        prove(read_model(path / "graph.json", path / "state.pt"), read_plan(bytes_of(plan)));
    write_certified();
  }
  void write_certified() const { write(certificate_text(certified)); }
  void write(const std::string& text) const { write_text(certificate, text); }

  TemporaryFolder folder;
  const fs::path path = folder.path();
  const fs::path certificate = path / "C.json";
  Certificate certified;
};

enum class Outcome { kHolds, kMismatch, kBadFile, kRefuted, kUnknown };

// What checking comes to; *said is what was printed, or the reason.
Outcome check(const fs::path& certificate, const Places& places = {}, std::string* said = nullptr) {
  std::string text;
  Outcome outcome = Outcome::kHolds;
  try {
    text = lockstep::cli::summary(
        check_certificate(read_file(certificate, SIZE_MAX), certificate, places), "");
  } catch (const Mismatch& error) {
    outcome = Outcome::kMismatch;
    text = error.what();
  } catch (const BadFile& error) {
    outcome = Outcome::kBadFile;
    text = error.what();
  } catch (const Failure& failure) {
    outcome = failure.is_unknown ? Outcome::kUnknown : Outcome::kRefuted;
    text = failure.text;
  }
  if (said != nullptr) *said = text;
  return outcome;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

// Gives a text that somebody changed the hash that it now has.
std::string resealed(std::string text) {
  const std::string member = "\"sha256\": \"";
  const std::size_t at = text.find(member) + member.size();
  text.erase(at, 64);
  return text.insert(at, sha256(bytes_of(text)));
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  const std::size_t at = text.find(what);
  REQUIRE(at != text.npos);
  return text.replace(at, what.size(), by);
}

}  // namespace

TEST_CASE(
    "a certificate holds for its files, and what it prints was derived or is called claimed") {
  const Verified verified;
  std::string said;
  REQUIRE(check(verified.certificate, {}, &said) == Outcome::kHolds);
  CAPTURE(said);
  CHECK(said.starts_with("certificate holds: "));
  CHECK(contains(said, "layers                              6\n"));
  CHECK(contains(said, "weights derived again               78\n"));
  CHECK(contains(said, "2.00 bits below 2^24, layer 'op0'"));
  CHECK(contains(said, "bits below 2^31, layer 'op4'"));
  CHECK(contains(said, "'op4' holds for double"));
  CHECK(
      contains(said, "claimed by lockstep 0.1.0, and not derived again: proved: for every input"));
  CHECK(contains(said, "plan (scalar): 64 samples, 7 tensors, 12345 values agree"));
  CHECK(said.find("claimed") < said.find("plan (scalar)"));
}

TEST_CASE("headroom is reported up to sums of a single step") {
  Verified verified;
  verified.weigh("tiny weights");
  std::string said;
  REQUIRE(check(verified.certificate, {}, &said) == Outcome::kHolds);
  CHECK(contains(said, "24.00 bits below 2^24, layer 'op0'"));
  CHECK(contains(said, "31.00 bits below 2^31, layer 'op0'"));
}

TEST_CASE("the schema of a certificate is that of docs/certificate.md") {
  const Verified verified;
  const Json json = Json::parse(read_text(verified.certificate));
  const auto keys = [](const Json& object) {
    std::string text;
    for (const auto& [key, value] : object.items()) text += (text.empty() ? "" : " ") + key;
    return text;
  };
  CHECK(keys(json) == "format version sha256 tool files claimed proof");
  CHECK(keys(json["files"]) == "graph weights plan c");
  CHECK(keys(json["files"]["c"][1]) == "path sha256");
  CHECK(json["files"]["c"][1]["path"] == "c/net.h");
  CHECK(keys(json["claimed"]) == "verdict options seed data runs");
  CHECK(json["claimed"]["seed"] == UINT64_MAX);
  CHECK(keys(json["claimed"]["runs"][0]) == "path samples tensors values");
  CHECK(keys(json["proof"]) ==
        "weights_checked elements_checked arena_pairs_checked unstable_layers layers");
  CHECK(keys(json["proof"]["layers"][0]) == "layer op output channels");
  CHECK(keys(json["proof"]["layers"][0]["channels"][0]) ==
        "first last lo hi bound accumulator_bits float_bound is_float32_exact post method "
        "arguments");
}

TEST_CASE("every flipped bit of a certificate is noticed, and truncation") {
  Verified verified;
  verified.weigh("few weights");  // a short certificate
  const std::string text = read_text(verified.certificate);
  std::fstream file(verified.certificate, std::ios::in | std::ios::out | std::ios::binary);
  const auto put = [&file](std::size_t i, char byte) {  // in place: thousands of new files are slow
    file.seekp(static_cast<std::streamoff>(i)).put(byte).flush();
    REQUIRE(file.good());
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      CAPTURE(i);
      CAPTURE(bit);
      put(i, static_cast<char>(text[i] ^ 1 << bit));
      REQUIRE(check(verified.certificate) == Outcome::kBadFile);
    }
    put(i, text[i]);
  }
  CHECK(check(verified.certificate) == Outcome::kHolds);
  for (std::size_t size = text.size(); size > 0;) {
    size -= std::min<std::size_t>(size, size > 300 ? 41 : 1);
    fs::resize_file(verified.certificate, size);
    REQUIRE(check(verified.certificate) == Outcome::kBadFile);
  }
}

TEST_CASE("facts that cannot be derived are refused although the hash was repaired") {
  const Verified verified;
  const std::string text = read_text(verified.certificate);
  std::string said;
  for (const auto& [what, by] : {std::pair<std::string, std::string>{"\"lo\": -100", "\"lo\": -99"},
                                 {"\"accumulator_bits\": 32", "\"accumulator_bits\": 64"},
                                 {"\"method\": \"copied\"", "\"method\": \"exhaustive\""},
                                 {"\"is_float32_exact\": true", "\"is_float32_exact\": false"}}) {
    CAPTURE(what);
    verified.write(resealed(replaced(text, what, by)));
    CHECK(check(verified.certificate, {}, &said) == Outcome::kMismatch);
    CHECK(contains(said, "layer 'op0'"));
  }
  verified.write(resealed(replaced(text, "\"weights_checked\": 78", "\"weights_checked\": 79")));
  CHECK(check(verified.certificate, {}, &said) == Outcome::kMismatch);
  verified.write(resealed(replaced(text, "\"op4\"\n", "\"op4\",\n   \"op5\"\n")));
  CHECK(check(verified.certificate) == Outcome::kMismatch);

  Certificate shorter = verified.certified;
  shorter.proof.layers.pop_back();
  verified.write(certificate_text(shorter));
  CHECK(check(verified.certificate, {}, &said) == Outcome::kMismatch);
  CHECK(contains(said, "5 layers"));
}

TEST_CASE("what is not exactly a certificate is refused although the hash was repaired") {
  const Verified verified;
  const std::string text = read_text(verified.certificate);
  for (const auto& [what, by] : {
           std::pair<std::string, std::string>{"\"tool\":",
                                               "\"tool\": \"x\",\n \"tool\":"},  // twice
           {" \"tool\": \"lockstep 0.1.0\",\n", ""},                             // missing
           {"\"tool\": \"lockstep 0.1.0\"", "\"tool\": 1"},
           {"\"samples\": 64", "\"samples\": \"64\""},
           {"\"samples\": 64", "\"samples\": 64.0"},
           {"\"samples\": 64", "\"samples\": 064"},
           {"\"samples\": 64", "\"more\": 1,\n    \"samples\": 64"},  // unknown
           {"\"claimed\": {", "\"claimed\":  {"},
           {"lockstep 0.1.0", "lockstep \\u0030.1.0"},
           {"lockstep 0.1.0", "lockstep \xff"},
           {"\"format\": \"lockstep-certificate\"", "\"format\": \"lockstep-graph\""},
           {"\"version\": 1", "\"version\": 2"},
       }) {
    CAPTURE(by);
    verified.write(resealed(replaced(text, what, by)));
    CHECK(check(verified.certificate) == Outcome::kBadFile);
  }
  verified.write(resealed(text + "\n"));
  CHECK(check(verified.certificate) == Outcome::kBadFile);
  const std::string deep(1'000'000, '[');
  verified.write(resealed(replaced(text, "\"options\": [", "\"options\": [" + deep)));
  CHECK(check(verified.certificate) == Outcome::kBadFile);
}

TEST_CASE("another file in the place of one that was certified is refused by its name") {
  const Verified verified;
  for (const char* const name :
       {"graph.json", "state.pt", "net.plan", "c/net.c", "c/net.h", "c/net_selftest.c"}) {
    CAPTURE(name);
    const std::string original = read_text(verified.path / name);
    std::string said;
    std::string changed = original;
    changed.back() = static_cast<char>(changed.back() ^ 1);
    write_text(verified.path / name, changed);
    CHECK(check(verified.certificate, {}, &said) == Outcome::kMismatch);
    CHECK(contains(said, name));
    fs::remove(verified.path / name);
    CHECK(check(verified.certificate, {}, &said) == Outcome::kBadFile);
    CHECK(contains(said, name));
    write_text(verified.path / name, original);
  }
  CHECK(check(verified.certificate) == Outcome::kHolds);
}

TEST_CASE("files that were certified are not believed to be right") {
  for (const auto& [word, wanted] :
       {std::pair("wrong", Outcome::kRefuted), std::pair("unclear", Outcome::kUnknown)}) {
    Verified verified;
    write_text(verified.path / "state.pt", word);
    verified.certified.files.weights = certify_file(verified.path / "state.pt", verified.path);
    verified.write_certified();
    std::string said;
    CHECK(check(verified.certificate, {}, &said) == wanted);
    CHECK(contains(said, "layer 'conv'"));
  }
  Verified verified;
  write_text(verified.path / "net.plan", "no plan");
  verified.certified.files.plan = certify_file(verified.path / "net.plan", verified.path);
  verified.write_certified();
  CHECK(check(verified.certificate) == Outcome::kBadFile);
}

TEST_CASE("files may lie elsewhere") {
  const Verified verified;
  const TemporaryFolder other;
  for (const char* const name : {"graph.json", "state.pt", "net.plan"})
    fs::rename(verified.path / name, other.path() / (std::string("my ") + name));
  CHECK(check(verified.certificate) == Outcome::kBadFile);
  Places places;
  places.graph = other.path() / "my graph.json";
  places.weights = other.path() / "my state.pt";
  places.plan = other.path() / "my net.plan";
  CHECK(check(verified.certificate, places) == Outcome::kHolds);
  places.sources = {verified.path / "c" / "net.c"};
  CHECK(check(verified.certificate, places) == Outcome::kBadFile);  // one of three
  places.sources.push_back(verified.path / "c" / "net.h");
  places.sources.push_back(verified.path / "c" / "net_selftest.c");
  CHECK(check(verified.certificate, places) == Outcome::kHolds);
  std::swap(places.sources[0], places.sources[1]);
  CHECK(check(verified.certificate, places) == Outcome::kMismatch);

  const Verified moved;
  fs::rename(moved.certificate, other.path() / "C.json");
  CHECK(check(other.path() / "C.json") == Outcome::kBadFile);
  Places root;
  root.root = moved.path;
  CHECK(check(other.path() / "C.json", root) == Outcome::kHolds);
}

TEST_CASE("files are read whole, up to a limit, and so is JSON") {
  const Verified verified;
  const fs::path file = verified.path / "c" / "net.c";
  CHECK(read_file(file, 10).size() == 10);
  CHECK_THROWS_AS(read_file(file, 9), BadFile);
  CHECK_THROWS_AS(read_file(verified.path, SIZE_MAX), BadFile);
  CHECK_THROWS_AS(read_file("/proc/self/status", SIZE_MAX), BadFile);  // more than its size says
  CHECK(parse_json("[1, 2]", "list", 1, 3).size() == 2);
  CHECK_THROWS_AS(parse_json("[1, 2]", "list", 1, 2), BadFile);
}

namespace {

// Writes the key with these 32 secret bytes as NAME.pem and NAME.pub.pem.
void write_keys(const fs::path& folder, const std::string& name, std::string_view secret) {
  REQUIRE(secret.size() == 32);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr,
                                   reinterpret_cast<const unsigned char*>(secret.data()), 32),
      EVP_PKEY_free);
  const auto write = [](const fs::path& path, const std::function<int(BIO*)>& content) {
    const std::unique_ptr<BIO, decltype(&BIO_free)> file(BIO_new_file(path.c_str(), "w"), BIO_free);
    REQUIRE(content(file.get()) == 1);
  };
  write(folder / (name + ".pem"), [&](BIO* file) {
    return PEM_write_bio_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
  write(folder / (name + ".pub.pem"),
        [&](BIO* file) { return PEM_write_bio_PUBKEY(file, key.get()); });
}

// Of the command, asked for a signature with this key.
int exit_code_with(const Verified& verified, const fs::path& public_key) {
  return lockstep::test::run_process({LOCKSTEP_CHECK_DOUBLE, verified.certificate.string(),
                                      "--public-key", public_key.string()})
      .exit_code;
}

std::string from_hex(std::string_view digits) {
  std::string bytes;
  for (std::size_t i = 0; i < digits.size(); i += 2)
    bytes += static_cast<char>(std::stoi(std::string(digits.substr(i, 2)), nullptr, 16));
  return bytes;
}

}  // namespace

TEST_CASE("hash and signature are SHA-256 and Ed25519") {
  // FIPS 180-4, its example "abc"; RFC 8032, 7.1, test 2.
  CHECK(sha256(bytes_of("abc")) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const TemporaryFolder folder;
  write_keys(folder.path(), "key",
             from_hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"));
  write_text(folder.path() / "file", "\x72");
  sign_file(folder.path() / "file", folder.path() / "key.pem");
  CHECK(read_text(folder.path() / "file.sig") ==
        from_hex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                 "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"));
}

TEST_CASE("where a key is given, the certificate must be signed with it") {
  const Verified verified;
  write_keys(verified.path, "key", std::string(32, 'k'));
  write_keys(verified.path, "other", std::string(32, 'o'));
  const fs::path signature = verified.path / "C.json.sig",
                 public_key = verified.path / "key.pub.pem";
  const auto exit_code = [&] { return exit_code_with(verified, public_key); };
  CHECK(exit_code() == 2);  // no signature
  sign_file(verified.certificate, verified.path / "other.pem");
  CHECK(exit_code() == 1);
  sign_file(verified.certificate, verified.path / "key.pem");
  CHECK(exit_code() == 0);

  std::string bytes = read_text(signature);
  REQUIRE(bytes.size() == 64);
  const std::vector<std::byte> signed_bytes = read_file(verified.certificate, SIZE_MAX);
  for (std::size_t i = 0; i < bytes.size(); ++i)
    for (int bit = 0; bit < 8; ++bit) {
      bytes[i] = static_cast<char>(bytes[i] ^ 1 << bit);
      write_text(signature, bytes);
      REQUIRE(!is_signed(signed_bytes, signature, public_key));
      if (bit == 0 && i % 8 == 0) REQUIRE(exit_code() == 1);
      bytes[i] = static_cast<char>(bytes[i] ^ 1 << bit);
    }
  for (const std::string& wrong : {bytes.substr(1), bytes + "x", std::string()}) {
    write_text(signature, wrong);
    CHECK_THROWS_AS(is_signed(signed_bytes, signature, public_key), BadFile);
    CHECK(exit_code() == 2);
  }
  write_text(signature, bytes);
  CHECK(exit_code() == 0);

  // A claim that nobody can derive again, changed by somebody without the key.
  verified.write(resealed(replaced(read_text(verified.certificate), "12345", "99999")));
  CHECK(check(verified.certificate) == Outcome::kHolds);
  CHECK(exit_code() == 1);
  verified.write("no certificate");  // nothing of it is read before its signature
  CHECK(exit_code() == 1);
}

TEST_CASE("what is no Ed25519 key is refused") {
  const Verified verified;
  write_keys(verified.path, "key", std::string(32, 'k'));
  write_text(verified.path / "text.pem", "no key\n");
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> curve(
      EVP_PKEY_Q_keygen(nullptr, nullptr, "X25519"), EVP_PKEY_free);
  const std::unique_ptr<BIO, decltype(&BIO_free)> file(
      BIO_new_file((verified.path / "x.pem").c_str(), "w"), BIO_free);
  REQUIRE(PEM_write_bio_PrivateKey(file.get(), curve.get(), nullptr, nullptr, 0, nullptr,
                                   nullptr) == 1);
  REQUIRE(BIO_flush(file.get()) == 1);
  for (const char* const name : {"text.pem", "x.pem", "key.pub.pem", "missing.pem"}) {
    CAPTURE(name);
    CHECK_THROWS_AS(sign_file(verified.certificate, verified.path / name), BadFile);
  }
  sign_file(verified.certificate, verified.path / "key.pem");
  CHECK(exit_code_with(verified, verified.path / "key.pem") == 2);  // the private one
}

TEST_CASE("the command says in its exit code what came of it, and why in one line") {
  Verified verified;
  const auto run = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), LOCKSTEP_CHECK_DOUBLE);
    return lockstep::test::run_process(arguments);
  };
  const std::string certificate = verified.certificate.string();
  const auto held = run({certificate});
  CHECK(held.exit_code == 0);
  CHECK(held.out.starts_with("certificate holds: "));
  CHECK(
      contains(held.out, "\nnet.c computes the same, for every input: 10 elements, 0 products\n"));
  CHECK(held.err.empty());
  CHECK(run({certificate, "--root", verified.path.string()}).exit_code == 0);
  CHECK(run({"--help"}).exit_code == 0);
  for (const auto& arguments :
       std::vector<std::vector<std::string>>{{},
                                             {certificate, "--unknown"},
                                             {certificate, "--root"},
                                             {certificate + "x"},
                                             {certificate, "--graph", "/nowhere"},
                                             {certificate, "--public-key", certificate}}) {
    const auto failed = run(arguments);
    CHECK(failed.exit_code == 2);
    CHECK(failed.out.empty());
    CHECK(failed.err.starts_with("lockstep: error: "));
    CHECK(lockstep::test::line_count(failed.err) == 1);
  }
  CHECK(run({certificate, "--graph", (verified.path / "state.pt").string()}).exit_code == 1);
  for (const auto& [word, exit_code] : {std::pair("wrong", 1), std::pair("unclear", 3)}) {
    write_text(verified.path / "state.pt", word);
    verified.certified.files.weights = certify_file(verified.path / "state.pt", verified.path);
    verified.write_certified();
    const auto failed = run({certificate});
    CHECK(failed.exit_code == exit_code);
    CHECK(failed.out.empty());
    CHECK(contains(failed.err, "layer 'conv'"));
  }

  Verified other;
  write_text(other.path / "c" / "net.c", "wrong\n");
  other.certified.files.c[0] = certify_file(other.path / "c" / "net.c", other.path);
  other.write_certified();
  const auto wrong_c = run({other.certificate.string()});
  CHECK(wrong_c.exit_code == 3);
  CHECK(wrong_c.out.empty());
  CHECK(contains(wrong_c.err, "'conv', C line 7"));
  other.certified.files.c.pop_back();
  other.write_certified();
  CHECK(run({other.certificate.string()}).exit_code == 2);  // two files
}

TEST_CASE("output that nobody takes is no success") {
  const Verified verified;
  lockstep::test::RunSetup setup;
  setup.standard_output = "/dev/full";
  const auto failed =
      lockstep::test::run_process({LOCKSTEP_CHECK_DOUBLE, verified.certificate.string()}, setup);
  CHECK(failed.exit_code == 2);
}
