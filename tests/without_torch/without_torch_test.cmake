# Configures, builds and tests the preset no-torch. Its build tree is as deep as the preset release's, so that ccache
# finds most objects in what that one has built.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "failed (${status}): ${ARGN}\n${output}")
  endif()
  string(REGEX MATCH "[^\n]*tests passed[^\n]*" summary "${output}")
  message(STATUS "${ARGV0} ${ARGV1}: ok ${summary}")
endfunction()

run(${CMAKE_COMMAND} --preset no-torch)
# Libraries, executables and the tests that run these; the tests of single parts and of kernels consist of the same
# objects with and without LibTorch.
run(${CMAKE_COMMAND} --build --preset no-torch --target lockstep_libraries lockstep end_to_end_tests)
run(${CMAKE_CTEST_COMMAND} --preset no-torch --label-regex end_to_end --label-exclude embedded)
