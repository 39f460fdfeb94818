# cmake -DFOLDER=... -DFILES=a.c,b.h -DFUNCTION=harness_files -DOUTPUT=x.cpp -P embed_harness.cmake
# Writes a C++ file that defines FUNCTION() with the text of FOLDER/a.c, FOLDER/b.h, ...
string(REPLACE "," ";" files "${FILES}")
set(rows "")
foreach(file IN LISTS files)
  file(READ "${FOLDER}/${file}" text)
  string(APPEND rows "    {\"${file}\", R\"HARNESS(${text})HARNESS\"},\n")
endforeach()
file(WRITE "${OUTPUT}"
"// Made by embed_harness.cmake.
#include \"verify/differential/harness_files.h\"

namespace lockstep::verify {
namespace {
constexpr HarnessFile kFiles[] = {
${rows}};
}  // namespace

std::span<const HarnessFile> ${FUNCTION}() { return kFiles; }

}  // namespace lockstep::verify
")
