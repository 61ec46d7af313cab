// Small matrices of one head, and where they are kept.

#pragma once

#include <ATen/cpu/vec/vec.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

namespace titans {

using Lanes = at::vec::Vectorized<float>;

// Numbers lie row by row.
struct Matrix {
  float* data;
  int64_t rows, columns;

  float* row(int64_t index) const { return data + index * columns; }
  int64_t size() const { return rows * columns; }
  Matrix first_rows(int64_t count) const { return {data, count, columns}; }
};

// What a thread computes a chunk in: the same blocks in the same order for each chunk and head.
class Workspace {
 public:
  static Workspace& of_this_thread() {
    static thread_local Workspace workspace;
    workspace.next_ = 0;
    return workspace;
  }

  // What was taken since `used` was this is taken anew.
  size_t used() const { return next_; }
  void rewind(size_t used) { next_ = used; }

  Matrix matrix(int64_t rows, int64_t columns) {
    return {static_cast<float*>(bytes(rows * columns * sizeof(float))), rows, columns};
  }

  void* bytes(size_t size) {
    if (next_ == blocks_.size()) blocks_.emplace_back();
    Block& block = blocks_[next_++];
    if (block.size < size) {
      const size_t whole = (size + 63) / 64 * 64;
      std::unique_ptr<void, decltype(&std::free)> memory(std::aligned_alloc(64, whole), &std::free);
      TORCH_CHECK(memory, "no memory for a block of ", whole, " bytes");
      block = {std::move(memory), whole};
    }
    return block.memory.get();
  }

 private:
  struct Block {
    std::unique_ptr<void, decltype(&std::free)> memory{nullptr, &std::free};
    size_t size = 0;
  };
  std::vector<Block> blocks_;
  size_t next_ = 0;
};

// Bits are copied, whatever they stand for: two numbers of bfloat16 go as one.
inline void transpose(const float* from, int64_t rows, int64_t columns, float* to) {
  constexpr int64_t size = Lanes::size();
  for (int64_t i = 0; i < rows; i += size) {
    for (int64_t j = 0; j < columns; j += size) {
      const float* block = from + i * columns + j;
      if (i + size <= rows && j + size <= columns) {
        at::vec::transpose_mxn<float, size, size>(block, columns, to + j * rows + i, rows);
        continue;
      }
      for (int64_t k = i; k < std::min(i + size, rows); k++)
        for (int64_t l = j; l < std::min(j + size, columns); l++)
          std::memcpy(to + l * rows + k, from + k * columns + l, sizeof(float));
    }
  }
}

inline Matrix transposed(Workspace& workspace, const Matrix& x) {
  Matrix result = workspace.matrix(x.columns, x.rows);
  transpose(x.data, x.rows, x.columns, result.data);
  return result;
}

}  // namespace titans
