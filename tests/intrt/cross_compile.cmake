# cmake -DCOMPILER=... -DNM=... -DFLAGS=a|b -DALLOWED=regex -DSOURCES=x.cpp|y.cpp -DROOT=... -DOUT=dir -P cross_compile.cmake
# Compiles the runtime for a device, with warnings as errors, and looks at the symbols of the result.
cmake_minimum_required(VERSION 3.25)
string(REPLACE "|" ";" flags "${FLAGS}")
string(REPLACE "|" ";" sources "${SOURCES}")
file(REMOVE_RECURSE "${OUT}")
file(MAKE_DIRECTORY "${OUT}")
set(objects)
foreach(source IN LISTS sources)
  string(REPLACE "/" "_" object "${source}")
  set(object "${OUT}/${object}.o")
  execute_process(
    COMMAND ${COMPILER} -std=c++17 ${flags} -Os -ffreestanding -fno-exceptions -fno-rtti
            -fno-threadsafe-statics -Wall -Wextra -Wconversion -Wpedantic -Wshadow -Wcast-align=strict -Werror
            -I${ROOT} -I${ROOT}/intrt/include -c ${ROOT}/intrt/${source} -o ${object}
    RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "${source} does not compile with ${COMPILER}")
  endif()
  list(APPEND objects "${object}")
endforeach()
string(REPLACE ";" "|" FILES "${objects}")
include(${CMAKE_CURRENT_LIST_DIR}/check_symbols.cmake)
