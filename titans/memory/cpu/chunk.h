// One chunk of one head: the equations, and the names, of chunk.py and stacked.py.

#pragma once

#include <limits>
#include <vector>

#include "gates.h"
#include "products.h"

namespace titans {

// One layer of the memory, and the factors of its gates.
template <class T>
struct Layer {
  bool widens;
  Matrix matrix;  // `[W^T; S^T]` or `[W; S]`, [2 narrow, wide]
  Decay decay;
  // The matrix as products take it: `[W h | S h]` and back.
  Right<T> through, back;

  int64_t narrow() const { return matrix.rows / 2; }
  int64_t wide() const { return matrix.columns; }
  int64_t inputs() const { return widens ? narrow() : wide(); }
  int64_t outputs() const { return widens ? wide() : narrow(); }
  // The same of `W` alone.
  Right<T> weights_through() const { return half(through, widens); }
  Right<T> weights_back() const { return half(back, !widens); }

  void prepare(Products<T>& products, bool with_back) {
    through = widens ? products.right(matrix) : products.right_transposed(matrix);
    if (with_back) back = widens ? products.right_transposed(matrix) : products.right(matrix);
  }

 private:
  Right<T> half(const Right<T>& whole, bool rows) const {
    return rows ? whole.first_rows(narrow()) : whole.first_columns(narrow());
  }
};

// What the keys and values of a chunk amount to in one layer, at the chunk's first weights.
struct Written {
  Matrix x, e, z, u;  // `u` of all but the last layer
  float *length_x, *length_e, *clip;
  Matrix narrow, wide;
};

template <class T>
struct Chunk {
  Workspace& workspace;
  Products<T> products;
  std::vector<Layer<T>> layers;
  std::vector<Written> written;
  float clip;  // infinite for none
  int64_t size;

  const Matrix& inputs(size_t l, const Matrix& narrow, const Matrix& wide) const {
    return layers[l].widens ? narrow : wide;
  }
  const Matrix& outputs(size_t l, const Matrix& narrow, const Matrix& wide) const {
    return layers[l].widens ? wide : narrow;
  }
  Matrix product(const Left<T>& left, const Right<T>& right) {
    Matrix out = workspace.matrix(left.rows, right.columns);
    products.into(out, left, right);
    return out;
  }
};

// Back-propagates `||M(k) - v||^2` at `W`.
template <class T>
void write(Chunk<T>& chunk, const Matrix& keys, const Matrix& targets) {
  auto& [workspace, products, layers, written, clip, size] = chunk;
  const size_t depth = layers.size();
  written.assign(depth, {});
  written[0].x = keys;
  for (size_t l = 0; l < depth; l++) {
    Written& at = written[l];
    if (l) silu(at.x = workspace.matrix(size, layers[l].inputs()), written[l - 1].z);
    at.z = chunk.product(products.left(at.x), layers[l].weights_through());
  }
  Matrix& last = written[depth - 1].e = workspace.matrix(size, layers[depth - 1].outputs());
  for (int64_t i = 0; i < last.size(); i++)
    last.data[i] = 2 * (written[depth - 1].z.data[i] - targets.data[i]);
  for (size_t l = depth - 1; l-- > 0;) {
    Written& at = written[l];
    at.u = chunk.product(products.left(written[l + 1].e), layers[l + 1].weights_back());
    silu_backward(at.e = workspace.matrix(size, layers[l].outputs()), at.u, at.z);
  }
  for (size_t l = 0; l < depth; l++) {
    Written& at = written[l];
    at.wide = layers[l].widens ? at.e : at.x;
    const Matrix& narrow = layers[l].widens ? at.x : at.e;
    at.narrow = narrow;
    if (std::isinf(clip)) continue;
    at.narrow = workspace.matrix(size, narrow.columns);
    for (float** of_token : {&at.length_x, &at.length_e, &at.clip})
      *of_token = workspace.matrix(1, size).data;
    for (int64_t t = 0; t < size; t++) {
      at.length_x[t] = std::sqrt(dot(at.x.row(t), at.x.row(t), at.x.columns));
      at.length_e[t] = std::sqrt(dot(at.e.row(t), at.e.row(t), at.e.columns));
      const float norm = at.length_x[t] * at.length_e[t];
      // A norm that is not a number stays one.
      at.clip[t] = norm < clip ? 1 : clip / std::max(norm, std::numeric_limits<float>::min());
      for (int64_t i = 0; i < narrow.columns; i++)
        at.narrow.row(t)[i] = at.clip[t] * narrow.row(t)[i];
    }
  }
}

// `mix matrix + sum`, half by half, where `sum` is in `after` already.
inline void mixed(const Matrix& after, const Matrix& matrix, float ww, float ws, float sw,
                  float ss) {
  const int64_t half = matrix.size() / 2;
  const float *w = matrix.data, *s = matrix.data + half;
  float *to_w = after.data, *to_s = after.data + half;
  for (int64_t i = 0; i < half; i++) {
    to_w[i] += ww * w[i] + ws * s[i];
    to_s[i] += sw * w[i] + ss * s[i];
  }
}

// The memory after the chunk.
template <class T>
void advance(Chunk<T>& chunk, const std::vector<Matrix>& after) {
  for (size_t l = 0; l < chunk.layers.size(); l++) {
    const Layer<T>& layer = chunk.layers[l];
    const Written& at = chunk.written[l];
    const Matrix step = spread(chunk.workspace, at.narrow, layer.decay.factors.last, -1);
    chunk.products.into(after[l], chunk.products.left_transposed(step),
                        chunk.products.right(at.wide));
    const float* mix = layer.decay.factors.mix.data;
    mixed(after[l], layer.matrix, mix[0], mix[1], mix[2], mix[3]);
  }
}

// What each layer reads for the queries: `[W h | S h]` of layers that do not widen, and `y`.
struct Tape {
  std::vector<Matrix> products, reads;
};

template <class T>
void read(Chunk<T>& chunk, const Matrix& queries, const Tape& tape) {
  auto& [workspace, products, layers, written, clip, size] = chunk;
  Matrix hidden = queries;
  for (size_t l = 0; l < layers.size(); l++) {
    const Layer<T>& layer = layers[l];
    const Written& at = written[l];
    if (l) silu(hidden = workspace.matrix(size, layer.inputs()), tape.reads[l - 1]);
    const Left<T> left = products.left(hidden);
    const Matrix &product = tape.products[l], &y = tape.reads[l];
    if (layer.widens) {
      products.into(y, products.left(spread(workspace, hidden, layer.decay.factors.read)),
                    layer.through);
    } else {
      products.into(product, left, layer.through);
      combine(y, product, layer.decay.factors.read);
    }
    const Matrix scores =
        chunk.product(left, products.right_transposed(chunk.inputs(l, at.narrow, at.wide)));
    const Matrix weighed = times(workspace, layer.decay.factors.writes, scores, -1);
    products.into(y, products.left(weighed), products.right(chunk.outputs(l, at.narrow, at.wide)),
                  true);
  }
}

}  // namespace titans
