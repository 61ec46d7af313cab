// The gradient of one chunk of one head: the equations, and the names, of adjoint.py.

#pragma once

#include "chunk.h"

namespace titans {

// Gradients with respect to one layer's factors, memory, and what it writes.
struct Gradient {
  Factors factors;
  Matrix matrix;
  Matrix narrow, wide;
  Matrix read_narrow, read_wide;  // whose outer product goes to the memory
};

// Through `matrix' = mix matrix - spread(n, last)^T w`.
template <class T>
void through_end(Chunk<T>& chunk, size_t l, const Matrix& after, Gradient& to) {
  auto& [workspace, products, layers, written, clip, size] = chunk;
  const Layer<T>& layer = layers[l];
  const Written& at = written[l];
  const int64_t half = after.size() / 2;
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 2; j++)
      to.factors.mix.row(i)[j] = dot(after.data + i * half, layer.matrix.data + j * half, half);
  const Matrix product = chunk.product(products.left(at.wide), products.right_transposed(after));
  along(to.factors.last, at.narrow, product, -1);
  to.narrow = workspace.matrix(size, layer.narrow());
  combine(to.narrow, product, layer.decay.factors.last, -1);
  to.wide = chunk.product(products.left(spread(workspace, at.narrow, layer.decay.factors.last, -1)),
                          products.right(after));
}

// Through `y = a (W h) + b (S h) - (<h, x> G) e`; returns what `h` gets.
template <class T>
Matrix through_read(Chunk<T>& chunk, size_t l, const Matrix& hidden, const Matrix& y,
                    Matrix product, Gradient& to) {
  auto& [workspace, products, layers, written, clip, size] = chunk;
  const Layer<T>& layer = layers[l];
  const Written& at = written[l];
  const Left<T> left_y = products.left(y), left_hidden = products.left(hidden);
  Matrix to_hidden = workspace.matrix(size, layer.inputs());
  if (layer.widens) {
    product = chunk.product(left_y, layer.back);
    combine(to_hidden, product, layer.decay.factors.read);
  } else {
    products.into(to_hidden, products.left(spread(workspace, y, layer.decay.factors.read)),
                  layer.back);
  }
  const Matrix& narrow = layer.widens ? hidden : y;
  to.read_narrow = spread(workspace, narrow, layer.decay.factors.read);
  to.read_wide = layer.widens ? y : hidden;
  along(to.factors.read, narrow, product);

  const Matrix &x = chunk.inputs(l, at.narrow, at.wide),
               &error = chunk.outputs(l, at.narrow, at.wide);
  const Matrix scores = chunk.product(left_hidden, products.right_transposed(x));
  const Matrix alike = chunk.product(left_y, products.right_transposed(error));
  for (int64_t i = 0; i < scores.size(); i++)
    to.factors.writes.data[i] = -alike.data[i] * scores.data[i];
  const Matrix to_scores = times(workspace, layer.decay.factors.writes, alike, -1);
  products.into(to_hidden, products.left(to_scores), products.right(x), true);
  products.into(chunk.inputs(l, to.narrow, to.wide), products.left_transposed(to_scores),
                products.right(hidden), true);
  const Matrix weighed = times(workspace, layer.decay.factors.writes, scores, -1);
  products.into(chunk.outputs(l, to.narrow, to.wide), products.left_transposed(weighed),
                products.right(y), true);
  return to_hidden;
}

// Through `c n` with `c = clip / (|x| |e|)` where that is below 1.
template <class T>
void through_clipping(const Chunk<T>& chunk, size_t l, Gradient& to) {
  const Written& at = chunk.written[l];
  if (std::isinf(chunk.clip)) return;
  const bool widens = chunk.layers[l].widens;
  const Matrix& narrow = widens ? at.x : at.e;
  const float *of_narrow = widens ? at.length_x : at.length_e,
              *of_wide = widens ? at.length_e : at.length_x;
  constexpr float tiny = std::numeric_limits<float>::min();
  for (int64_t t = 0; t < chunk.size; t++) {
    if (at.clip[t] == 1) continue;
    const float slope = -at.clip[t] * dot(to.narrow.row(t), narrow.row(t), narrow.columns);
    const float along_narrow = slope / std::max(of_narrow[t] * of_narrow[t], tiny);
    const float along_wide = slope / std::max(of_wide[t] * of_wide[t], tiny);
    for (int64_t i = 0; i < narrow.columns; i++)
      to.narrow.row(t)[i] = at.clip[t] * to.narrow.row(t)[i] + along_narrow * narrow.row(t)[i];
    for (int64_t i = 0; i < at.wide.columns; i++)
      to.wide.row(t)[i] += along_wide * at.wide.row(t)[i];
  }
}

// Through the errors up to the loss and the inputs down to the keys, whose gradient is returned.
// The memory's gradient is in `matrix` of each.
template <class T>
Matrix through_back_propagation(Chunk<T>& chunk, std::vector<Gradient>& to,
                                const Matrix& to_targets) {
  auto& [workspace, products, layers, written, clip, size] = chunk;
  const size_t depth = layers.size();
  const auto outer = [&](size_t l, const Matrix& inputs, const Matrix& outputs) {
    const Matrix &narrow = chunk.layers[l].widens ? inputs : outputs,
                 &wide = chunk.layers[l].widens ? outputs : inputs;
    chunk.products.into(to[l].matrix.first_rows(chunk.layers[l].narrow()),
                        chunk.products.left_transposed(narrow), chunk.products.right(wide), true);
  };
  std::vector<Matrix> to_z(depth), slopes(depth);
  for (size_t l = 0; l + 1 < depth; l++) {
    const Written& at = written[l];
    const Matrix to_error = chunk.outputs(l, to[l].narrow, to[l].wide);
    const Matrix to_u = workspace.matrix(size, to_error.columns);
    slopes[l] = workspace.matrix(size, to_error.columns);
    to_z[l] = workspace.matrix(size, to_error.columns);
    constexpr int64_t lanes = Lanes::size();
    for (int64_t i = 0; i < to_u.size(); i += lanes) {
      const int64_t count = std::min(lanes, to_u.size() - i);
      const Lanes z = Lanes::loadu(at.z.data + i, count),
                  error = Lanes::loadu(to_error.data + i, count);
      const Lanes gate = sigmoid(z), value = z * gate, slope = value + gate * (Lanes(1) - value);
      const Lanes curvature = Lanes(2) * slope - value - gate * (Lanes(2) * slope - value);
      slope.store(slopes[l].data + i, count);
      (error * slope).store(to_u.data + i, count);
      (curvature * Lanes::loadu(at.u.data + i, count) * error).store(to_z[l].data + i, count);
    }
    products.into(chunk.outputs(l + 1, to[l + 1].narrow, to[l + 1].wide), products.left(to_u),
                  layers[l + 1].weights_through(), true);
    outer(l + 1, to_u, written[l + 1].e);
  }
  const Matrix& to_error = chunk.outputs(depth - 1, to[depth - 1].narrow, to[depth - 1].wide);
  to_z[depth - 1] = workspace.matrix(size, to_error.columns);
  for (int64_t i = 0; i < to_error.size(); i++) {
    to_z[depth - 1].data[i] = 2 * to_error.data[i];
    to_targets.data[i] = -2 * to_error.data[i];
  }
  for (size_t l = depth; l-- > 0;) {
    outer(l, written[l].x, to_z[l]);
    const Matrix& to_x = chunk.inputs(l, to[l].narrow, to[l].wide);
    products.into(to_x, products.left(to_z[l]), layers[l].weights_back(), true);
    if (l)
      for (int64_t i = 0; i < to_x.size(); i++)
        to_z[l - 1].data[i] += to_x.data[i] * slopes[l - 1].data[i];
  }
  return chunk.inputs(0, to[0].narrow, to[0].wide);
}

struct ToSequences {
  Matrix queries, keys, targets;
};

// `output` and `after` are gradients of the last layer's `y` and of the memory after the chunk;
// each `to` has where the gradients of the factors and of the memory go.
template <class T>
ToSequences backward(Chunk<T>& chunk, const Matrix& queries, const Tape& tape, const Matrix& output,
                     const std::vector<Matrix>& after, std::vector<Gradient>& to) {
  auto& [workspace, products, layers, written, clip, size] = chunk;
  for (size_t l = 0; l < layers.size(); l++) through_end(chunk, l, after[l], to[l]);
  Matrix y = output;
  for (size_t l = layers.size(); l-- > 0;) {
    Matrix hidden = queries;
    if (l) silu(hidden = workspace.matrix(size, layers[l].inputs()), tape.reads[l - 1]);
    const Matrix to_hidden = through_read(chunk, l, hidden, y, tape.products[l], to[l]);
    if (l)
      silu_backward(y = workspace.matrix(size, to_hidden.columns), to_hidden, tape.reads[l - 1]);
    else
      y = to_hidden;
  }
  for (size_t l = 0; l < layers.size(); l++) {
    through_clipping(chunk, l, to[l]);
    products.into(to[l].matrix, products.left_transposed(to[l].read_narrow),
                  products.right(to[l].read_wide));
    const float* mix = layers[l].decay.factors.mix.data;
    mixed(to[l].matrix, after[l], mix[0], mix[2], mix[1], mix[3]);
  }
  const Matrix to_targets = workspace.matrix(size, output.columns);
  const Matrix to_keys = through_back_propagation(chunk, to, to_targets);
  return {y, to_keys, to_targets};
}

}  // namespace titans
