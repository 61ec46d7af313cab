// A span of chunks as PyTorch's tensors: its arguments, and what is kept for its gradient.

#pragma once

#include <torch/torch.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <type_traits>
#include <vector>

#include "chunk.h"

namespace titans {

using at::Tensor;
using Tensors = std::vector<Tensor>;

// `[heads, tokens, dim]`, with the tokens of a head one after the other.
struct Sequence {
  explicit Sequence(const Tensor& x)
      : tensor(x.stride(2) == 1 && x.stride(1) == x.size(2) ? x : x.contiguous()) {}

  template <class T>
  T* of(int64_t head, int64_t token = 0) const {
    return tensor.data_ptr<T>() + head * tensor.stride(0) + token * tensor.size(2);
  }

  // Where floats for so many tokens are, or are to be put.
  template <class T>
  Matrix room(Workspace& workspace, int64_t head, int64_t token, int64_t size) const {
    const int64_t width = tensor.size(2);
    if constexpr (std::is_same_v<T, float>) return {of<float>(head, token), size, width};
    return workspace.matrix(size, width);
  }

  template <class T>
  Matrix at(Workspace& workspace, int64_t head, int64_t token, int64_t size) const {
    const Matrix out = room<T>(workspace, head, token, size);
    if constexpr (!std::is_same_v<T, float>) load(out, of<T>(head, token));
    return out;
  }

  template <class T>
  void put(int64_t head, int64_t token, const Matrix& x) const {
    T* to = of<T>(head, token);
    if constexpr (!std::is_same_v<T, float>)
      store(to, x.data, x.size());
    else if (to != x.data)
      std::copy(x.data, x.data + x.size(), to);
  }

  Tensor tensor;
};

inline std::vector<Sequence> sequences_of(const Tensors& tensors) {
  return {tensors.begin(), tensors.end()};
}

inline Tensors like(const std::vector<Sequence>& sequences) {
  Tensors results;
  for (const Sequence& x : sequences)
    results.push_back(at::empty(x.tensor.sizes(), x.tensor.options()));
  return results;
}

inline std::vector<Matrix> of_head(const std::vector<Sequence>& matrices, int64_t head) {
  std::vector<Matrix> results;
  for (const Sequence& x : matrices)
    results.push_back({x.of<float>(head), x.tensor.size(1), x.tensor.size(2)});
  return results;
}

inline std::vector<Matrix> matrices_like(Workspace& workspace,
                                         const std::vector<Matrix>& matrices) {
  std::vector<Matrix> results;
  for (const Matrix& x : matrices) results.push_back(workspace.matrix(x.rows, x.columns));
  return results;
}

// The arguments of a span: its tokens, their gates `[1 | layers, heads, chunks, C]`, and the memory
// that it begins with.
struct Span {
  std::vector<Sequence> sequences;
  Tensors gates;
  std::vector<Sequence> memory;
  std::vector<bool> widens;
  float clip;

  Span(const Tensors& sequences, const Tensors& gates, const Tensors& memory,
       const std::vector<bool>& widens, std::optional<double> clip)
      : sequences(sequences_of(sequences)),
        memory(sequences_of(memory)),
        widens(widens),
        clip(clip ? static_cast<float>(*clip) : std::numeric_limits<float>::infinity()) {
    for (const Tensor& gate : gates) this->gates.push_back(gate.contiguous());
  }

  bool is_bfloat16() const { return sequences[0].tensor.scalar_type() == at::kBFloat16; }
  int64_t heads() const { return sequences[0].tensor.size(0); }
  int64_t chunks() const { return gates[0].size(2); }
  int64_t size() const { return gates[0].size(3); }
  int64_t depth() const { return memory.size(); }
  bool gate_a_layer() const {
    return std::any_of(gates.begin(), gates.end(),
                       [](const Tensor& gate) { return gate.size(0) > 1; });
  }

  Gates of_chunk(const Tensors& gates, int64_t layer, int64_t head, int64_t index) const {
    const auto place = [&](const Tensor& gate) {
      const int64_t first = gate.size(0) > 1 ? layer : 0;
      return gate.data_ptr<float>() +
             ((first * gate.size(1) + head) * gate.size(2) + index) * gate.size(3);
    };
    return {place(gates[0]), place(gates[1]), place(gates[2])};
  }

  // The chunk with that memory, after what it writes has been found.
  template <class T>
  Chunk<T> chunk(Workspace& workspace, int64_t head, int64_t index,
                 const std::vector<Matrix>& memory, bool with_first_back = false) const {
    Chunk<T> chunk{workspace, Products<T>(workspace), {}, {}, clip, size()};
    for (int64_t l = 0; l < depth(); l++) {
      Layer<T> layer{widens[l], memory[l], {}};
      const bool shared = l && !gate_a_layer();
      layer.decay = shared ? chunk.layers[0].decay
                           : Decay(workspace, of_chunk(gates, l, head, index), size());
      layer.prepare(chunk.products, l || with_first_back);
      chunk.layers.push_back(layer);
    }
    write(chunk, sequence<T>(workspace, 1, head, index), sequence<T>(workspace, 2, head, index));
    return chunk;
  }

  template <class T>
  Matrix sequence(Workspace& workspace, int which, int64_t head, int64_t index) const {
    return sequences[which].at<T>(workspace, head, index * size(), size());
  }
};

// What the gradient needs besides: the memory before chunks 2, 4, ..., a `[chunk, heads, ...]` a
// layer, and of all tokens the products of layers that do not widen and the reads of all layers but
// the last.
struct Kept {
  Tensors memory;
  std::vector<std::optional<Tensor>> products;
  Tensors reads;

  template <class T>
  Tape tape(Workspace& workspace, int64_t head, int64_t index, int64_t size) const {
    return found(
        [&](const Tensor& x) { return Sequence(x).at<T>(workspace, head, index * size, size); });
  }

  // A tape to be written, which `put` keeps.
  template <class T>
  Tape room(Workspace& workspace, int64_t head, int64_t index, int64_t size) const {
    return found(
        [&](const Tensor& x) { return Sequence(x).room<T>(workspace, head, index * size, size); });
  }

  template <class T>
  void put(int64_t head, int64_t token, const Tape& tape) const {
    for (size_t l = 0; l < reads.size(); l++) {
      Sequence(reads[l]).put<T>(head, token, tape.reads[l]);
      if (products[l]) Sequence(*products[l]).put<T>(head, token, tape.products[l]);
    }
  }

  std::vector<Matrix> before(int64_t head, int64_t index) const {
    Tensors chosen;
    for (const Tensor& x : memory) chosen.push_back(x[index / 2 - 1]);
    return of_head(sequences_of(chosen), head);
  }

 private:
  template <class F>
  Tape found(const F& of) const {
    Tape tape;
    for (const auto& x : products) tape.products.push_back(x ? of(*x) : Matrix{});
    for (const Tensor& x : reads) tape.reads.push_back(of(x));
    return tape;
  }
};

}  // namespace titans
