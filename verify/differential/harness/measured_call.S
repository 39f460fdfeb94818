/* void harness_measured_call(void (*function)(void*), void* argument, void* stack_top)
 *
 * Calls function(argument) on a stack of its own, between the markers that the emulator's plugin
 * knows (plugin/insn_count.c). They do nothing themselves. */

#if defined(__arm__)
  .syntax unified
  .thumb
  .text
  .balign 4
  .global harness_measured_call
  .type harness_measured_call, %function
  .thumb_func
harness_measured_call:
  push {r4, lr}
  mov r4, sp
  mov r3, r0
  mov r0, r1
  mov sp, r2
  .inst.n 0xbf80
  blx r3
  .inst.n 0xbf90
  mov sp, r4
  pop {r4, pc}

#elif defined(__riscv)
  .text
  .balign 4
  .global harness_measured_call
  .type harness_measured_call, %function
harness_measured_call:
  addi sp, sp, -16
  sw ra, 12(sp)
  sw s0, 8(sp)
  mv s0, sp
  mv t0, a0
  mv a0, a1
  mv sp, a2
  .4byte 0x7b102013
  jalr t0
  .4byte 0x7b202013
  mv sp, s0
  lw ra, 12(sp)
  lw s0, 8(sp)
  addi sp, sp, 16
  ret

#elif defined(__aarch64__)
  .text
  .balign 4
  .global harness_measured_call
  .type harness_measured_call, %function
harness_measured_call:
  stp x29, x30, [sp, #-32]!
  str x19, [sp, #16]
  mov x19, sp
  mov x9, x0
  mov x0, x1
  mov sp, x2
  .inst 0xd280f63f
  blr x9
  .inst 0xd280f65f
  mov sp, x19
  ldr x19, [sp, #16]
  ldp x29, x30, [sp], #32
  ret
  .section .note.GNU-stack, "", %progbits

#else
#error "harness_measured_call is not written for this machine"
#endif
