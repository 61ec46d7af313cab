// What Python calls.

#include <torch/csrc/utils/pybind.h>

#include "loops.h"

namespace titans {

// Raises where the processor has no such products.
template <class T>
void multiply() {
  Workspace& workspace = Workspace::of_this_thread();
  Products<T> products(workspace);
  const Matrix one = workspace.matrix(2, 2), out = workspace.matrix(2, 2);
  std::fill(one.data, one.data + 4, 1.f);
  products.into(out, products.left(one), products.right(one));
  TORCH_CHECK(out.data[3] == 2, "a product is wrong");
}

}  // namespace titans

PYBIND11_MODULE(TORCH_EXTENSION_NAME, module) {
  using namespace titans;
  namespace py = pybind11;
  using Free = py::call_guard<py::gil_scoped_release>;
  py::class_<Kept>(module, "Kept");
  py::class_<Span>(module, "Span")
      .def(py::init<const Tensors&, const Tensors&, const Tensors&, const std::vector<bool>&,
                    std::optional<double>>());
  module.def("multiply",
             [](bool bfloat16) { bfloat16 ? multiply<at::BFloat16>() : multiply<float>(); });
  module.def(
      "forward",
      [](const Span& span) {
        return span.is_bfloat16() ? forward_span<at::BFloat16>(span) : forward_span<float>(span);
      },
      Free());
  module.def(
      "backward",
      [](const Span& span, const Kept& kept, const Tensor& output, const Tensors& after) {
        return span.is_bfloat16() ? backward_span<at::BFloat16>(span, kept, output, after)
                                  : backward_span<float>(span, kept, output, after);
      },
      Free());
}
