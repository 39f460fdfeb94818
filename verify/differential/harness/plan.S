/* The plan's bytes as they are, where constants lie. plan.bin is in the compiler's working directory. */
#if defined(__arm__)
#define SECTION_TYPE %progbits
#else
#define SECTION_TYPE @progbits
#endif
  .section .rodata.harness_plan, "a", SECTION_TYPE
  .balign 16
  .global harness_plan
  .global harness_plan_end
harness_plan:
  .incbin "plan.bin"
harness_plan_end:
  .byte 0
#if defined(__aarch64__)
  .section .note.GNU-stack, "", %progbits
#endif
