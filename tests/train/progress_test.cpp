#include "train/progress.h"

#include <doctest/doctest.h>

#include <string>

using lockstep::train::progress_line;
using lockstep::train::Reporter;

TEST_CASE(
    "a progress line is shorter than the terminal is wide, and shows all figures where they fit") {
  const std::string figures = "epoch 3/500  step 20/40  loss 1.234  accuracy 50.00 %  100 s left";
  Reporter::Position position;
  position.step = 20;
  position.steps = 40;
  for (std::size_t columns = 1; columns <= 200; ++columns) {
    const std::string line = progress_line(position, figures, columns);
    CAPTURE(columns);
    CHECK(line.size() < columns);
    if (columns > figures.size()) CHECK(line.find(figures) != std::string::npos);
  }
  CHECK(progress_line(position, figures, 200) == "[============            ] " + figures);
}
