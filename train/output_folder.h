// The folder that training writes to: the names in it, and the lock that keeps a second training
// out.
#pragma once

#include <filesystem>

namespace lockstep::train {

class OutputFolder {
 public:
  // Makes the folder and locks it until the object goes. InputError when it cannot be made or
  // another process has it.
  explicit OutputFolder(const std::filesystem::path& folder);
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  // Old outputs must not look new.
  void remove_states() const;  // what a finished training leaves
  void remove_all() const;

  const std::filesystem::path state_pt, state_safetensors, log, checkpoint, recipe;

 private:
  int descriptor_ = -1;  // of the folder itself; the system drops the lock when it closes
};

}  // namespace lockstep::train
