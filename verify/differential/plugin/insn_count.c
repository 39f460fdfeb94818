/* A QEMU plugin that counts the guest instructions of marked regions, exactly.
 *
 * A region begins with the Thumb hint 0xbf80 and ends with 0xbf90: instructions that do nothing on
 * the core and that compilers never emit. The markers themselves are not counted. For each region
 * one line with its number of instructions goes to the file given as out=FILE.
 *
 * Debian's QEMU 7.2 loads plugins but ships no header, so the few calls used here are declared by
 * hand, from QEMU's include/qemu/qemu-plugin.h, API version 1. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef struct qemu_info_t qemu_info_t;

enum { QEMU_PLUGIN_CB_NO_REGS = 0 };
enum { QEMU_PLUGIN_INLINE_ADD_U64 = 0 };

typedef void (*tb_translated)(qemu_plugin_id_t id, struct qemu_plugin_tb* tb);
typedef void (*insn_executed)(unsigned int cpu, void* data);
typedef void (*at_exit)(qemu_plugin_id_t id, void* data);

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb* tb);
struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb* tb, size_t index);
const void* qemu_plugin_insn_data(const struct qemu_plugin_insn* insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn* insn);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, tb_translated callback);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn* insn, insn_executed callback,
                                            int flags, void* data);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn* insn, int operation,
                                                void* counter, uint64_t increment);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, at_exit callback, void* data);

#define EXPORTED __attribute__((visibility("default")))
EXPORTED extern int qemu_plugin_version;
EXPORTED int qemu_plugin_version = 1;
EXPORTED int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t* info, int argc,
                                 char** argv);

enum { kBeginMarker = 0xbf80, kEndMarker = 0xbf90 };

static uint64_t executed;     /* instructions so far, markers apart */
static uint64_t region_start; /* `executed` at the last begin marker */
static int inside;
static FILE* out;

static void begin_region(unsigned int cpu, void* data) {
  (void)cpu;
  (void)data;
  inside = 1;
  region_start = executed;
}

static void end_region(unsigned int cpu, void* data) {
  (void)cpu;
  (void)data;
  if (!inside) return;
  inside = 0;
  fprintf(out, "%" PRIu64 "\n", executed - region_start);
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb* tb) {
  const size_t count = qemu_plugin_tb_n_insns(tb);
  size_t i;
  (void)id;
  for (i = 0; i < count; ++i) {
    struct qemu_plugin_insn* insn = qemu_plugin_tb_get_insn(tb, i);
    uint16_t code = 0;
    if (qemu_plugin_insn_size(insn) == 2) memcpy(&code, qemu_plugin_insn_data(insn), sizeof code);
    if (code == kBeginMarker)
      qemu_plugin_register_vcpu_insn_exec_cb(insn, begin_region, QEMU_PLUGIN_CB_NO_REGS, NULL);
    else if (code == kEndMarker)
      qemu_plugin_register_vcpu_insn_exec_cb(insn, end_region, QEMU_PLUGIN_CB_NO_REGS, NULL);
    else
      qemu_plugin_register_vcpu_insn_exec_inline(insn, QEMU_PLUGIN_INLINE_ADD_U64, &executed, 1);
  }
}

static void close_output(qemu_plugin_id_t id, void* data) {
  (void)id;
  (void)data;
  fclose(out);
}

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t* info, int argc, char** argv) {
  int i;
  (void)info;
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
