// The files that one command is about to write. They are claimed before any input is read: old ones
// go, so that a run that fails leaves nothing that looks new; and unless the command ends well,
// whatever it had written of the set goes too, after an interrupt as after an error.
#pragma once

#include <filesystem>
#include <vector>

#include "compile/support/interruption.h"

namespace lockstep::cli {

class Outputs {
 public:
  // `inputs`: files that the command reads. Claiming one of them is refused.
  explicit Outputs(std::vector<std::filesystem::path> inputs);
  ~Outputs();
  Outputs(const Outputs&) = delete;
  Outputs& operator=(const Outputs&) = delete;

  // Removes an old file at `path`, which may be a link to it. InputError when it is one of the
  // inputs, was claimed already, or cannot be removed.
  void claim(const std::filesystem::path& path);
  // Makes `folder` where it is missing. InputError with the system's reason.
  void make_folder(const std::filesystem::path& folder);
  // The command succeeded; the files stay. To an interrupt this is one step: it leaves all or none.
  void keep();

 private:
  void remove_claimed() const;

  std::vector<std::filesystem::path> inputs_;
  // The files behind the links; changed under an InterruptHold, because undo_ reads them in another
  // thread.
  std::vector<std::filesystem::path> claimed_;
  UndoOnInterrupt undo_;  // last, so that it goes before what it reads
};

}  // namespace lockstep::cli
