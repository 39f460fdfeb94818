/* A QEMU plugin that counts, exactly, what the guest executes in marked regions: instructions,
 * reads and writes of data, and instructions of the classes of insn_class.h.
 *
 * A region begins at one marker and ends at another; at a third one ends and the next begins. The
 * markers are instructions that do nothing on the core and that compilers never emit, and are not
 * counted. For each region one line goes to the file given as out=FILE: instructions, reads,
 * writes, multiplications, branches and vector instructions, with spaces in between. Reads and
 * writes are accesses as the core makes them: an instruction that loads two registers reads twice.
 *
 * Debian's QEMU 7.2 loads plugins but ships no header, so the few calls used here are declared by
 * hand, from QEMU's include/qemu/qemu-plugin.h, API version 1. Memory accesses are counted by a
 * callback: the counting without one of that version takes reads for writes. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "insn_class.h"

typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
/* Its first member, the only one that is used. */
typedef struct {
  const char* target_name;
} qemu_info_t;

enum { QEMU_PLUGIN_CB_NO_REGS = 0 };
enum { QEMU_PLUGIN_INLINE_ADD_U64 = 0 };
enum { QEMU_PLUGIN_MEM_RW = 3 };

typedef void (*tb_translated)(qemu_plugin_id_t id, struct qemu_plugin_tb* tb);
typedef void (*insn_executed)(unsigned int cpu, void* data);
typedef void (*memory_accessed)(unsigned int cpu, qemu_plugin_meminfo_t info, uint64_t address,
                                void* data);
typedef void (*at_exit)(qemu_plugin_id_t id, void* data);

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb* tb);
struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb* tb, size_t index);
const void* qemu_plugin_insn_data(const struct qemu_plugin_insn* insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn* insn);
bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t info);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, tb_translated callback);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn* insn, insn_executed callback,
                                            int flags, void* data);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn* insn, int operation,
                                                void* counter, uint64_t increment);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn* insn, memory_accessed callback,
                                      int flags, int accesses, void* data);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, at_exit callback, void* data);

#define EXPORTED __attribute__((visibility("default")))
EXPORTED extern int qemu_plugin_version;
EXPORTED int qemu_plugin_version = 1;
EXPORTED int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t* info, int argc,
                                 char** argv);

struct markers {
  size_t bytes;
  uint32_t begin, end, split;
};
static const struct markers kMarkers[] = {
    {2, 0xbf80u, 0xbf90u, 0xbfa0u},             /* Thumb: hints 8, 9 and 10 */
    {4, 0x7b102013u, 0x7b202013u, 0x7b302013u}, /* RISC-V: slti x0, x0, 0x7b1 to 0x7b3 */
    {4, 0xd280f63fu, 0xd280f65fu, 0xd280f67fu}, /* A64: movz xzr, #0x7b1 to #0x7b3 */
};

enum { kExecuted, kReads, kWrites, kMultiplications, kBranches, kVector, kCounters };
static uint64_t now[kCounters];   /* so far, markers apart */
static uint64_t start[kCounters]; /* of the region */
static int inside;
static enum insn_set set;
static FILE* out;

static void begin_region(unsigned int cpu, void* data) {
  (void)cpu;
  (void)data;
  inside = 1;
  memcpy(start, now, sizeof start);
}

static void end_region(unsigned int cpu, void* data) {
  int i;
  (void)cpu;
  (void)data;
  if (!inside) return;
  inside = 0;
  for (i = 0; i < kCounters; ++i)
    fprintf(out, "%" PRIu64 "%c", now[i] - start[i], i + 1 == kCounters ? '\n' : ' ');
}

static void split_region(unsigned int cpu, void* data) {
  if (!inside) return;
  end_region(cpu, data);
  begin_region(cpu, data);
}

static void count_access(unsigned int cpu, qemu_plugin_meminfo_t info, uint64_t address,
                         void* data) {
  (void)cpu;
  (void)address;
  (void)data;
  now[qemu_plugin_mem_is_store(info) ? kWrites : kReads] += 1;
}

static void add_when_executed(struct qemu_plugin_insn* insn, int counter) {
  qemu_plugin_register_vcpu_insn_exec_inline(insn, QEMU_PLUGIN_INLINE_ADD_U64, &now[counter], 1);
}

static void translate_insn(struct qemu_plugin_insn* insn) {
  const struct markers* markers = &kMarkers[set];
  size_t bytes = qemu_plugin_insn_size(insn);
  insn_executed marker = NULL;
  uint32_t code = 0;
  int kind;
  memcpy(&code, qemu_plugin_insn_data(insn), bytes < sizeof code ? bytes : sizeof code);
  /* In front of the end of a page QEMU hands out the halfword behind one of 16 bits, too. */
  if (set == INSN_THUMB && (code & 0xffffu) < 0xe800u) {
    bytes = 2;
    code &= 0xffffu;
  }
  if (bytes == markers->bytes && code == markers->begin) marker = begin_region;
  if (bytes == markers->bytes && code == markers->end) marker = end_region;
  if (bytes == markers->bytes && code == markers->split) marker = split_region;
  if (marker != NULL) {
    qemu_plugin_register_vcpu_insn_exec_cb(insn, marker, QEMU_PLUGIN_CB_NO_REGS, NULL);
    return;
  }
  add_when_executed(insn, kExecuted);
  kind = insn_class(set, code, bytes);
  if (kind & INSN_MULTIPLY) add_when_executed(insn, kMultiplications);
  if (kind & INSN_BRANCH) add_when_executed(insn, kBranches);
  if (kind & INSN_VECTOR) add_when_executed(insn, kVector);
  qemu_plugin_register_vcpu_mem_cb(insn, count_access, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW,
                                   NULL);
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb* tb) {
  const size_t count = qemu_plugin_tb_n_insns(tb);
  size_t i;
  (void)id;
  for (i = 0; i < count; ++i) translate_insn(qemu_plugin_tb_get_insn(tb, i));
}

static void close_output(qemu_plugin_id_t id, void* data) {
  (void)id;
  (void)data;
  fclose(out);
}

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t* info, int argc, char** argv) {
  int i;
  if (strcmp(info->target_name, "arm") == 0) {
    set = INSN_THUMB;
  } else if (strcmp(info->target_name, "riscv32") == 0) {
    set = INSN_RISCV;
  } else if (strcmp(info->target_name, "aarch64") == 0) {
    set = INSN_A64;
  } else {
    fprintf(stderr, "insn_count: does not know the instructions of %s\n", info->target_name);
    return -1;
  }
  for (i = 0; i < argc && out == NULL; ++i)
    if (strncmp(argv[i], "out=", 4) == 0) out = fopen(argv[i] + 4, "w");
  if (out == NULL) {
    fprintf(stderr, "insn_count: out=FILE is missing or cannot be written\n");
    return -1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
  qemu_plugin_register_atexit_cb(id, close_output, NULL);
  return 0;
}
