// Products of small matrices, in float32 or of bfloat16 with sums in float32.

#pragma once

#include <ATen/native/CPUBlas.h>

#include "bfloat16.h"

namespace titans {

// The two sides of a product, as its precision wants them.
template <class T>
struct Left {
  const T* data;
  int64_t rows, columns;
};

// The first columns of a wider matrix have its `stride`.
template <class T>
struct Right {
  const T* data;
  int64_t rows, columns, stride;

  Right first_rows(int64_t count) const { return {data, count, columns, stride}; }
  Right first_columns(int64_t count) const { return {data, rows, count, stride}; }
};

template <class T>
class Products;

template <>
class Products<float> {
 public:
  explicit Products(Workspace& workspace) : workspace_(workspace) {}

  Left<float> left(const Matrix& x) { return {x.data, x.rows, x.columns}; }
  Left<float> left_transposed(const Matrix& x) { return left(transposed(workspace_, x)); }
  Right<float> right(const Matrix& x) { return {x.data, x.rows, x.columns, x.columns}; }
  Right<float> right_transposed(const Matrix& x) { return right(transposed(workspace_, x)); }

  // `out = left right`, or `out += left right`.
  void into(const Matrix& out, const Left<float>& left, const Right<float>& right,
            bool add = false) {
    at::native::cpublas::brgemm(left.rows, right.columns, left.columns, left.columns, right.stride,
                                out.columns, add, left.data, right.data, out.data, false);
  }

 private:
  Workspace& workspace_;
};

// Rows in twos: what two rows have in a column are neighbours. Odd ones are filled up with zeros.
template <>
class Products<at::BFloat16> {
 public:
  explicit Products(Workspace& workspace) : workspace_(workspace) {}

  Left<at::BFloat16> left(const Matrix& x) {
    const int64_t columns = even(x.columns);
    auto* data =
        static_cast<at::BFloat16*>(workspace_.bytes(x.rows * columns * sizeof(at::BFloat16)));
    for (int64_t i = 0; i < x.rows; i++) {
      store(data + i * columns, x.row(i), x.columns);
      if (columns > x.columns) data[i * columns + x.columns].x = 0;
    }
    return {data, x.rows, columns};
  }
  Left<at::BFloat16> left_transposed(const Matrix& x) { return left(transposed(workspace_, x)); }

  Right<at::BFloat16> right(const Matrix& x) {
    auto* pairs =
        static_cast<uint32_t*>(workspace_.bytes(even(x.rows) / 2 * x.columns * sizeof(uint32_t)));
    for (int64_t i = 0; i < x.rows; i += 2, pairs += x.columns) {
      const float *one = x.row(i), *two = i + 1 < x.rows ? x.row(i + 1) : nullptr;
      for (int64_t j = 0; j < x.columns; j++)
        pairs[j] = rounded(one[j]) >> 16 | (two ? rounded(two[j]) & 0xffff0000 : 0);
    }
    pairs -= even(x.rows) / 2 * x.columns;
    return {reinterpret_cast<at::BFloat16*>(pairs), even(x.rows), x.columns, x.columns};
  }
  Right<at::BFloat16> right_transposed(const Matrix& x) {
    // Neighbours in a row are what a column of the transposed has in two rows.
    const Left<at::BFloat16> rows = left(x);
    Matrix pairs = workspace_.matrix(rows.columns / 2, x.rows);
    transpose(reinterpret_cast<const float*>(rows.data), x.rows, rows.columns / 2, pairs.data);
    return {reinterpret_cast<at::BFloat16*>(pairs.data), rows.columns, x.rows, x.rows};
  }

  void into(const Matrix& out, const Left<at::BFloat16>& left, const Right<at::BFloat16>& right,
            bool add = false) {
    at::native::cpublas::brgemm(left.rows, right.columns, left.columns, left.columns, right.stride,
                                out.columns, add, left.data, right.data, out.data, true);
  }

 private:
  static int64_t even(int64_t count) { return (count + 1) / 2 * 2; }

  Workspace& workspace_;
};

// Gives back what a processor holds for a thread's products (its tiles, where it has such).
struct Release {
  ~Release() { at::native::cpublas::brgemm_release(); }
};

}  // namespace titans
