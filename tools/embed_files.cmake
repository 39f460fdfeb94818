# cmake -DFOLDER=... -DFILES=a.c,b.h -DHEADER=x.h -DTYPE=verify::HarnessFile -DFUNCTION=verify::harness_files
#       -DOUTPUT=x.cpp -P embed_files.cmake
# Writes a C++ file that defines the function of that header, which returns a span of {path, text}: FOLDER/a.c,
# FOLDER/b.h, ... All of it is in namespace lockstep.
string(REPLACE "," ";" files "${FILES}")
set(rows "")
foreach(file IN LISTS files)
  file(READ "${FOLDER}/${file}" text)
  string(APPEND rows "    {\"${file}\", R\"LOCKSTEP(${text})LOCKSTEP\"},\n")
endforeach()
file(WRITE "${OUTPUT}"
"// Made by embed_files.cmake.
#include \"${HEADER}\"

namespace lockstep {
namespace {
constexpr ${TYPE} kFiles[] = {
${rows}};
}  // namespace

std::span<const ${TYPE}> ${FUNCTION}() { return kFiles; }

}  // namespace lockstep
")
