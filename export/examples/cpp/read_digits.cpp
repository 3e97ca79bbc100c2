// Reads 28x28 images of digits: read_digits classifier_light.onnx IMAGES
// IMAGES is a file of raw grey levels, 784 bytes per image, 0 = background. Prints one label and probability per line.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

#include <openvino/openvino.hpp>

int main(int argc, char** argv) {
    if (argc != 3) return std::fprintf(stderr, "usage: %s MODEL.onnx IMAGES\n", argv[0]), 2;
    std::ifstream file(argv[2], std::ios::binary);
    const std::vector<char> pixels((std::istreambuf_iterator<char>(file)), {});
    const size_t images = pixels.size() / 784;
    if (!images || pixels.size() % 784) return std::fprintf(stderr, "%s: must be 784 bytes per image\n", argv[2]), 2;

    ov::Core core;
    // Without the hint, processors with bfloat16 compute in it, and the probabilities differ in the third digit.
    auto model = core.compile_model(argv[1], "CPU", ov::hint::inference_precision(ov::element::f32));
    auto request = model.create_infer_request();
    ov::Tensor input(ov::element::u8, {images, 28, 28});
    std::memcpy(input.data(), pixels.data(), pixels.size());
    request.set_tensor("images", input);
    request.infer();
    const float* probabilities = request.get_tensor("probabilities").data<float>();
    for (size_t i = 0; i < images; ++i, probabilities += 10) {
        const float* best = std::max_element(probabilities, probabilities + 10);
        std::printf("%d %.4f\n", static_cast<int>(best - probabilities), *best);
    }
}
