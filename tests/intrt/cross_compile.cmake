# cmake -DCOMPILER=... -DNM=... -DSIZE=... -DFLAGS=a|b -DALLOWED=regex -DSOURCES=x.cpp|y.cpp -DROOT=... -DOUT=dir -P cross_compile.cmake
# Compiles the runtime for a device, with warnings as errors, and looks at the symbols of the result. Then links it for
# networks that need some of the kernels: none of the others is left, and the sizes are printed.
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
            -fno-threadsafe-statics -ffunction-sections -fdata-sections -Wall -Wextra -Wconversion -Wpedantic -Wshadow -Wcast-align=strict -Werror
            -I${ROOT} -I${ROOT}/intrt/include -c ${ROOT}/intrt/${source} -o ${object}
    RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "${source} does not compile with ${COMPILER}")
  endif()
  list(APPEND objects "${object}")
endforeach()
string(REPLACE ";" "|" FILES "${objects}")
include(${CMAKE_CURRENT_LIST_DIR}/check_symbols.cmake)

# linked(name "function that opens" kernels...)
function(linked name open)
  set(roots -Wl,-u,${open} -Wl,-u,intrt_run)
  foreach(kernel IN LISTS ARGN)
    list(APPEND roots -Wl,-u,intrt_kernel_${kernel})
  endforeach()
  execute_process(COMMAND ${COMPILER} ${flags} -r -nostdlib -Wl,--gc-sections ${roots} ${objects} -o ${OUT}/${name}.linked
    RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "the kernels of ${name} do not link")
  endif()
  if(ARGN)
    execute_process(COMMAND ${NM} ${OUT}/${name}.linked OUTPUT_VARIABLE listing)
    string(REGEX MATCHALL " [A-Z] intrt_kernel_[a-z0-9_]+" lines "${listing}")
    list(TRANSFORM lines REPLACE ".* intrt_kernel_" "")
    list(REMOVE_ITEM lines variant variant_runs_here)  # functions
    list(SORT lines)
    list(SORT ARGN)
    if(NOT lines STREQUAL ARGN)
      message(FATAL_ERROR "${name} links the kernels ${lines}, and needs ${ARGN}")
    endif()
  endif()
  execute_process(COMMAND ${SIZE} ${OUT}/${name}.linked OUTPUT_VARIABLE sizes)
  string(REGEX MATCH "\n *([0-9]+)" ignored "${sizes}")
  message(STATUS "-Os, ${name}: ${CMAKE_MATCH_1} bytes")
endfunction()
linked(all_kernels intrt_open)
linked(resnet8 intrt_open_with conv2d add avg_pool2d linear)
linked(ds_cnn intrt_open_with conv2d avg_pool2d linear)
