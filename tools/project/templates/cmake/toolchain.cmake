# @processor@ with GCC: cmake --toolchain toolchain.cmake. This file is yours: Lockstep never overwrites it.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR @core@)
set(CMAKE_C_COMPILER @compiler@)
set(CMAKE_C_FLAGS_INIT "@core_flags@")
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY) # a test program would need a linker script
# What `ctest` and add_custom_command run programs with.
set(CMAKE_CROSSCOMPILING_EMULATOR
  @emulator@ @machine_flags@ -display none -monitor none -serial none
  -semihosting-config enable=on,target=native -kernel)
