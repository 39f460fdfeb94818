# cmake -DBOARD=... -DFLAGS=a|b -DRAM=address -DRESULT=code -DROOT=... -DOUT=dir -P micro_emulated.cmake
# Compiles the cases of the micro-kernels for an Arm core, or a RISC-V core of the board "virt", and runs them on an
# emulated board.
cmake_minimum_required(VERSION 3.25)
string(REPLACE "|" ";" flags "${FLAGS}")
if(BOARD STREQUAL "virt")
  set(compiler riscv64-unknown-elf-gcc)
  set(startup startup_riscv.c)
  set(emulator qemu-system-riscv32 -cpu rv32 -bios none)
  set(map VECTORS_AT=0x80000000 CODE_AT=0x80000400)
else()  # Arm's MPS2 and MPS3 boards
  set(compiler arm-none-eabi-gcc -mthumb)
  set(startup startup_arm.c)
  set(emulator qemu-system-arm)
  if(BOARD STREQUAL "mps3-an547")
    set(map VECTORS_AT=0x10000000 CODE_AT=0x70000000)
  else()
    set(map VECTORS_AT=0 CODE_AT=0x400)
  endif()
endif()
list(APPEND map CODE_BYTES=0x3ffc00 RAM_AT=${RAM} RAM_BYTES=0x1000000)
list(TRANSFORM map PREPEND "-Wl,--defsym=")
file(REMOVE_RECURSE "${OUT}")
file(MAKE_DIRECTORY "${OUT}")
set(harness ${ROOT}/verify/differential/harness)
set(tests ${ROOT}/tests/intrt)
execute_process(
  COMMAND ${compiler} -std=c11 ${flags} -ffreestanding -nostdlib -Wall -Wextra -Wconversion -Wno-sign-conversion -Werror
          -isystem ${harness}/freestanding -I${harness} -I${tests} -I${ROOT}/intrt/include -T ${harness}/bare.ld
          ${map} ${harness}/${startup} ${harness}/bare.c ${tests}/micro_firmware.c ${tests}/micro_cases.c ${tests}/micro_mve_cases.c -lgcc -o ${OUT}/cases.elf
  RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "the cases do not compile: ${failed}")
endif()
execute_process(
  COMMAND ${emulator} -M ${BOARD} -display none -monitor none -serial none
          -semihosting-config enable=on,target=native -kernel ${OUT}/cases.elf
  TIMEOUT 250
  RESULT_VARIABLE result)
if(NOT result STREQUAL RESULT)
  message(FATAL_ERROR "the cases give ${result} on ${BOARD}, not ${RESULT}; 10 and more: twice the rest is the line of micro_cases.c; 5: a fault")
endif()
