# cmake -DBOARD=... -DFLAGS=a|b -DRESULT=code -DROOT=... -DOUT=dir -P micro_emulated.cmake
# Compiles the cases of the micro-kernels for an Arm core and runs them on an emulated board.
cmake_minimum_required(VERSION 3.25)
string(REPLACE "|" ";" flags "${FLAGS}")
file(REMOVE_RECURSE "${OUT}")
file(MAKE_DIRECTORY "${OUT}")
set(harness ${ROOT}/verify/differential/harness)
set(tests ${ROOT}/tests/intrt)
execute_process(
  COMMAND arm-none-eabi-gcc -std=c11 -mthumb ${flags} -ffreestanding -nostdlib -Wall -Wextra -Wconversion -Wno-sign-conversion -Werror
          -isystem ${harness}/freestanding -I${harness} -I${tests} -I${ROOT}/intrt/include -T ${harness}/cortex_m.ld
          ${harness}/startup_cortex_m.c ${tests}/micro_firmware.c ${tests}/micro_cases.c -lgcc -o ${OUT}/cases.elf
  RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "the cases do not compile: ${failed}")
endif()
execute_process(
  COMMAND qemu-system-arm -M ${BOARD} -display none -monitor none -serial none
          -semihosting-config enable=on,target=native -kernel ${OUT}/cases.elf
  TIMEOUT 250
  RESULT_VARIABLE result)
if(NOT result STREQUAL RESULT)
  message(FATAL_ERROR "the cases give ${result} on ${BOARD}, not ${RESULT}; 10 and more: twice the rest is the line of micro_cases.c; 5: a fault")
endif()
