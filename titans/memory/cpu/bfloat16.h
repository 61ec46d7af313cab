// Floats to bfloat16 and back.

#pragma once

#include <c10/util/BFloat16.h>

#include <cstring>

#include "matrix.h"

namespace titans {

// A float's bits, rounded so that the upper half is its bfloat16 (to the nearest, then to even).
inline uint32_t rounded(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  // What is not a number could be rounded to one.
  return (bits & 0x7fffffff) > 0x7f800000 ? 0x7fc00000 : bits + 0x7fff + (bits >> 16 & 1);
}

inline void load(const Matrix& out, const at::BFloat16* from) {
  for (int64_t i = 0; i < out.size(); i++) {
    const uint32_t bits = static_cast<uint32_t>(from[i].x) << 16;
    std::memcpy(out.data + i, &bits, sizeof bits);
  }
}

inline void store(at::BFloat16* to, const float* from, int64_t count) {
  for (int64_t i = 0; i < count; i++) to[i].x = rounded(from[i]) >> 16;
}

}  // namespace titans
