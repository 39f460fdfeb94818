// Classifies images: model_example net.plan
#include <lockstep/model.h>

#include <algorithm>
#include <cstdio>
#include <thread>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  try {
    lockstep::Model model(argv[1], {.threads = 2});
    const lockstep::TensorInfo& input = model.inputs()[0];
    const lockstep::TensorInfo& output = model.outputs()[0];
    std::printf("%s: %zu numbers in, %zu out, %s kernels\n", model.name().c_str(), input.elements,
                output.elements, model.kernels().c_str());

    // Eight samples, one behind the other, in PyTorch's order (N,C,H,W).
    const std::size_t samples = 8;
    std::vector<float> images(samples * input.elements, 0.25F);
    std::vector<float> scores(samples * output.elements);
    model.run(images, scores);
    const auto best = std::max_element(scores.begin(), scores.begin() + output.elements);
    std::printf("the first is of class %td\n", best - scores.begin());

    // Codes in and out: what the chip computes, bit for bit.
    std::vector<std::int8_t> codes(input.elements, 32);
    std::vector<std::int32_t> result(output.elements);
    model.run(codes, result);

    // A clone for each further thread; all share the plan and its weights.
    std::vector<float> there(output.elements);
    std::thread other([clone = model.clone(), &images, &there, &input]() mutable {
      clone.run(std::span(images).first(input.elements), there);
    });
    other.join();
    return std::equal(there.begin(), there.end(), scores.begin()) ? 0 : 1;
  } catch (const lockstep::InputError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
