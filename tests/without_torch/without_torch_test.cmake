# Configures, builds and tests the project without LibTorch, in a build tree of its own.
# Arguments: SOURCE_DIR, WORK_DIR, C_LAUNCHER, CXX_LAUNCHER.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "failed (${status}): ${ARGN}\n${output}")
  endif()
  string(REGEX MATCH "[^\n]*tests passed[^\n]*" summary "${output}")
  message(STATUS "${ARGV0} ${ARGV1}: ok ${summary}")
endfunction()

run(${CMAKE_COMMAND} -S ${SOURCE_DIR} -B ${WORK_DIR} -G Ninja -DCMAKE_BUILD_TYPE=Release
  -DLOCKSTEP_WITH_TORCH=OFF -DCMAKE_DISABLE_FIND_PACKAGE_Torch=ON
  -DCMAKE_C_COMPILER_LAUNCHER=${C_LAUNCHER} -DCMAKE_CXX_COMPILER_LAUNCHER=${CXX_LAUNCHER})
run(${CMAKE_COMMAND} --build ${WORK_DIR})
# The slow ones are the same with and without LibTorch.
run(${CMAKE_CTEST_COMMAND} --test-dir ${WORK_DIR} --output-on-failure --label-exclude "slow|embedded")
