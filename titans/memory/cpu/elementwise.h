// What is done number by number, or row by row.

#pragma once

#include <cmath>

#include "matrix.h"

namespace titans {

template <class F, class... Floats>
inline void each(int64_t count, const F& function, float* out, const Floats*... in) {
  constexpr int64_t size = Lanes::size();
  int64_t i = 0;
  for (; i + size <= count; i += size) function(Lanes::loadu(in + i)...).store(out + i);
  if (i < count) function(Lanes::loadu(in + i, count - i)...).store(out + i, count - i);
}

inline Lanes sigmoid(const Lanes& x) { return Lanes(1) / (Lanes(1) + x.neg().exp_u20()); }

// `act(x)`.
inline void silu(const Matrix& out, const Matrix& x) {
  each(x.size(), [](Lanes x) { return x * sigmoid(x); }, out.data, x.data);
}

// `y act'(x)`.
inline void silu_backward(const Matrix& out, const Matrix& y, const Matrix& x) {
  each(
      x.size(),
      [](Lanes y, Lanes x) {
        const Lanes gate = sigmoid(x);
        return y * gate * (Lanes(1) + x * (Lanes(1) - gate));
      },
      out.data, y.data, x.data);
}

inline float dot(const float* one, const float* two, int64_t count) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; i++) sum += one[i] * two[i];
  return sum;
}

// `[f_1 x | f_2 x] sign` of each row.
inline Matrix spread(Workspace& workspace, const Matrix& x, const Matrix& factors, float sign = 1) {
  Matrix out = workspace.matrix(x.rows, 2 * x.columns);
  for (int64_t t = 0; t < x.rows; t++) {
    const float first = sign * factors.row(t)[0], second = sign * factors.row(t)[1];
    const float* from = x.row(t);
    float* to = out.row(t);
    for (int64_t i = 0; i < x.columns; i++) {
      to[i] = first * from[i];
      to[i + x.columns] = second * from[i];
    }
  }
  return out;
}

// `(f_1 first + f_2 second) sign` of each row's halves.
inline void combine(const Matrix& out, const Matrix& product, const Matrix& factors,
                    float sign = 1) {
  for (int64_t t = 0; t < out.rows; t++) {
    const float first = sign * factors.row(t)[0], second = sign * factors.row(t)[1];
    const float* from = product.row(t);
    float* to = out.row(t);
    for (int64_t i = 0; i < out.columns; i++)
      to[i] = first * from[i] + second * from[i + out.columns];
  }
}

// `<x, first>` and `<x, second>` of each row, times `sign`.
inline void along(const Matrix& out, const Matrix& x, const Matrix& product, float sign = 1) {
  for (int64_t t = 0; t < x.rows; t++) {
    out.row(t)[0] = sign * dot(x.row(t), product.row(t), x.columns);
    out.row(t)[1] = sign * dot(x.row(t), product.row(t) + x.columns, x.columns);
  }
}

// `sign factors * x`.
inline Matrix times(Workspace& workspace, const Matrix& factors, const Matrix& x, float sign = 1) {
  Matrix out = workspace.matrix(x.rows, x.columns);
  for (int64_t i = 0; i < x.size(); i++) out.data[i] = sign * factors.data[i] * x.data[i];
  return out;
}

}  // namespace titans
