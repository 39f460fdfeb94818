#include "tools/support/model_options.h"

#include "tools/support/options.h"

namespace lockstep::cli {

CLI::Option* add_model_options(CLI::App& verb, ModelOptions& options) {
  add_integer(verb, "--threads", options.threads, 1, 1024,
              "Threads, for large layers and for many samples; the codes are the same");
  return verb
      .add_option("--kernels", options.kernels,
                  "Kernel variant to use (default: the best this CPU can run)")
      ->type_name("NAME");
}

}  // namespace lockstep::cli
