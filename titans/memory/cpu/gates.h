// What the gates of a chunk amount to: the names of decay.py, by recurrences over its tokens.
//
//   H[t, i] = eta_t H[t-1, i]                          and 1 where i = t
//   G[t, i] = (1 - alpha_t) G[t-1, i] + H[t, i]
//   a_t = (1 - alpha_t) a_{t-1}    s_t = eta_t s_{t-1}    b_t = (1 - alpha_t) b_{t-1} + s_t

#pragma once

#include <algorithm>

#include "elementwise.h"

namespace titans {

// Of one layer and chunk: `alpha`, `eta` and `theta`, or their gradients, `[C]` each.
struct Gates {
  float *forget, *momentum, *step;
};

// Factors or their gradients: see `Decay` of decay.py.
struct Factors {
  Matrix read, writes, last, mix;

  Factors() = default;
  Factors(Workspace& workspace, int64_t size)
      : read(workspace.matrix(size, 2)),
        writes(workspace.matrix(size, size)),
        last(workspace.matrix(size, 2)),
        mix(workspace.matrix(2, 2)) {}
};

struct Decay {
  Factors factors;
  Matrix carried;  // H
  Matrix written;  // G
  Matrix kept;     // a, s, b as rows

  Decay() = default;
  Decay(Workspace& workspace, const Gates& gates, int64_t size)
      : factors(workspace, size),
        carried(workspace.matrix(size, size)),
        written(workspace.matrix(size, size)),
        kept(workspace.matrix(3, size)) {
    // Next to 1 a small `alpha` would be rounded away, in each chunk anew.
    double a = 1, s = 1, b = 0;
    for (int64_t t = 0; t < size; t++) {
      const float keep = 1 - gates.forget[t], carry = gates.momentum[t];
      float* __restrict h = carried.row(t), * __restrict g = written.row(t);
      std::fill(h, h + size, 0.f);
      std::fill(g, g + size, 0.f);
      for (int64_t i = 0; i < t; i++) {
        h[i] = carry * h[i - size];
        g[i] = keep * g[i - size] + h[i];
      }
      h[t] = g[t] = 1;
      for (int64_t i = 0; i < size; i++) factors.writes.row(t)[i] = g[i] * gates.step[i];
      const double exact = 1 - static_cast<double>(gates.forget[t]);
      a *= exact, s *= carry, b = exact * b + s;
      kept.row(0)[t] = a, kept.row(1)[t] = s, kept.row(2)[t] = b;
      factors.read.row(t)[0] = kept.row(0)[t], factors.read.row(t)[1] = kept.row(2)[t];
    }
    for (int64_t i = 0; i < size; i++) {
      factors.last.row(i)[0] = factors.writes.row(size - 1)[i];
      factors.last.row(i)[1] = carried.row(size - 1)[i] * gates.step[i];
    }
    const float mix[] = {kept.row(0)[size - 1], kept.row(2)[size - 1], 0, kept.row(1)[size - 1]};
    std::copy(mix, mix + 4, factors.mix.data);
  }

  // Adds to the gates' gradients what those of the factors make of them.
  void backward(Workspace& workspace, const Gates& gates, const Factors& to,
                const Gates& to_gates) const {
    const int64_t size = carried.rows, end = size - 1;
    const Matrix to_h = workspace.matrix(1, size), to_g = workspace.matrix(1, size);
    for (int64_t i = 0; i < size; i++) {
      to_h.data[i] = to.last.row(i)[1] * gates.step[i];
      to_g.data[i] = to.last.row(i)[0] * gates.step[i];
      to_gates.step[i] +=
          to.last.row(i)[0] * written.row(end)[i] + to.last.row(i)[1] * carried.row(end)[i];
    }
    float to_a = to.mix.data[0], to_b = to.mix.data[1], to_s = to.mix.data[3];
    for (int64_t t = end; t >= 0; t--) {
      const float keep = 1 - gates.forget[t], carry = gates.momentum[t];
      const float *g = written.row(t), *to_w = to.writes.row(t);
      to_a += to.read.row(t)[0], to_b += to.read.row(t)[1], to_s += to_b;
      float to_keep = to_a * (t ? kept.row(0)[t - 1] : 1) + to_b * (t ? kept.row(2)[t - 1] : 0);
      float to_carry = to_s * (t ? kept.row(1)[t - 1] : 1);
      to_a *= keep, to_b *= keep, to_s *= carry;
      for (int64_t i = 0; i <= t; i++) {
        to_gates.step[i] += to_w[i] * g[i];
        to_g.data[i] += to_w[i] * gates.step[i];
        to_h.data[i] += to_g.data[i];
      }
      if (t) {
        to_keep += dot(to_g.data, g - size, t);
        to_carry += dot(to_h.data, carried.row(t - 1), t);
      }
      for (int64_t i = 0; i < t; i++) to_g.data[i] *= keep, to_h.data[i] *= carry;
      to_gates.forget[t] -= to_keep;
      to_gates.momentum[t] += to_carry;
    }
  }
};

}  // namespace titans
