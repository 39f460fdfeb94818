// The file at which processes meet, before LibTorch's FileStore opens it. FileStore itself takes
// whatever is there: it reads another file for ever, and removes an empty one at the end.
#pragma once

#include <chrono>
#include <string>

namespace lockstep::train {

// Makes the empty file `path`; false when something is there already. InputError when it cannot.
bool make_meeting_file(const std::string& path);

// InputError unless what is at `path` is a file to which a FileStore has written, or nothing; all
// else stays as it is. Waits, no longer than `timeout` and than some seconds, for the process that
// has just made the file to write its first entry.
void require_meeting_file(const std::string& path, std::chrono::milliseconds timeout);

}  // namespace lockstep::train
