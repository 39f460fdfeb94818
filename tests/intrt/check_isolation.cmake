# cmake -DNM=... -DFILES=a.o|b.o -P check_isolation.cmake
# Kernels for instructions that not every CPU has are compiled for these. They must not define an inline function
# that other files define, too: the linker might take theirs for all.
cmake_minimum_required(VERSION 3.25)
string(REPLACE "|" ";" files "${FILES}")
execute_process(COMMAND ${NM} --defined-only ${files} OUTPUT_VARIABLE listing RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "${NM} failed")
endif()
if(NOT listing MATCHES " [DRT] intrt_")
  message(FATAL_ERROR "there is no kernel; found: ${listing}")
endif()
string(REGEX MATCH "[0-9a-f]+ [WVu] [^\n]+" shared "${listing}")
if(shared)
  message(FATAL_ERROR "a function that other files may share: ${shared}")
endif()
