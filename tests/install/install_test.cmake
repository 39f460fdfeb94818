# Installs the build tree into an empty folder, then configures, builds and runs a user's project against it.
# Arguments: BUILD_DIR, SOURCE_DIR (of this file), WORK_DIR, WITH_TORCH, CXX_COMPILER_LAUNCHER (ccache makes the second
# run much shorter: most of the time goes into LibTorch's headers).
function(run)
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY ${WORK_DIR} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  message(STATUS "${output}")
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "failed (${status}): ${ARGN}")
  endif()
endfunction()

file(REMOVE_RECURSE ${WORK_DIR})
file(MAKE_DIRECTORY ${WORK_DIR})
run(${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${WORK_DIR}/prefix)
run(${CMAKE_COMMAND} -S ${SOURCE_DIR}/consumer -B ${WORK_DIR}/build -G Ninja
  -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH=${WORK_DIR}/prefix
  -DCMAKE_CXX_COMPILER_LAUNCHER=${CXX_COMPILER_LAUNCHER} -DWITH_TORCH=${WITH_TORCH})
run(${CMAKE_COMMAND} --build ${WORK_DIR}/build)
run(${WORK_DIR}/build/runtime_only)
run(${WORK_DIR}/build/consumer)
if(WITH_TORCH)
  run(${WORK_DIR}/build/trainer)
endif()
run(${WORK_DIR}/prefix/bin/lockstep --version)
run(${WORK_DIR}/prefix/bin/lockstep zoo write lenet --out ${WORK_DIR}/lenet --state ${WORK_DIR}/lenet/state.safetensors)
run(${WORK_DIR}/prefix/bin/lockstep compile --graph ${WORK_DIR}/lenet/graph.json
  --weights ${WORK_DIR}/lenet/state.safetensors --out ${WORK_DIR}/lenet/net.plan)
run(${WORK_DIR}/build/model_example ${WORK_DIR}/lenet/net.plan)
file(REMOVE_RECURSE ${WORK_DIR})
