// Chunk after chunk of a span, the heads of which are shared out among the threads.

#pragma once

#include <ATen/Parallel.h>

#include <tuple>

#include "adjoint.h"
#include "span.h"

namespace titans {

template <class F>
void for_each_head(int64_t heads, const F& function) {
  at::parallel_for(0, heads, 1, [&](int64_t first, int64_t end) {
    const Release release;
    for (int64_t head = first; head < end; head++) function(head, Workspace::of_this_thread());
  });
}

// What is read for each query, the memory after the span, and what is kept.
template <class T>
std::tuple<Tensor, Tensors, Kept> forward_span(const Span& span) {
  const auto options = span.sequences[0].tensor.options();
  const int64_t heads = span.heads(), chunks = span.chunks(), size = span.size();
  Kept kept;
  for (int64_t l = 0; l < span.depth(); l++) {
    const Tensor& matrix = span.memory[l].tensor;
    const int64_t narrow = matrix.size(1) / 2, wide = matrix.size(2);
    kept.memory.push_back(at::empty({(chunks - 1) / 2, heads, 2 * narrow, wide}, matrix.options()));
    kept.reads.push_back(
        at::empty({heads, chunks * size, span.widens[l] ? wide : narrow}, options));
    kept.products.push_back(
        span.widens[l] ? std::nullopt
                       : std::optional(at::empty({heads, chunks * size, 2 * narrow}, options)));
  }
  const Tensors after = like(span.memory);
  const std::vector<Sequence> to_memory = sequences_of(after);
  for_each_head(heads, [&](int64_t head, Workspace& workspace) {
    std::vector<Matrix> memory = of_head(span.memory, head);
    const std::vector<Matrix> between = matrices_like(workspace, memory),
                              last = of_head(to_memory, head);
    const size_t used = workspace.used();
    for (int64_t index = 0; index < chunks; index++) {
      workspace.rewind(used);
      Chunk<T> chunk = span.chunk<T>(workspace, head, index, memory);
      const Tape tape = kept.room<T>(workspace, head, index, size);
      read(chunk, span.sequence<T>(workspace, 0, head, index), tape);
      kept.put<T>(head, index * size, tape);
      memory = index + 1 == chunks ? last : index % 2 ? kept.before(head, index + 1) : between;
      advance(chunk, memory);
    }
  });
  const Tensor output = kept.reads.back();
  kept.reads.pop_back();
  return {output, after, kept};
}

// Gradients of the sequences, the gates and the memory.
template <class T>
std::tuple<Tensors, Tensors, Tensors> backward_span(const Span& span, const Kept& kept,
                                                    const Tensor& output, const Tensors& after) {
  const int64_t chunks = span.chunks(), size = span.size();
  const Sequence of_output(output);
  const std::vector<Sequence> of_after = sequences_of(after);
  const Tensors to_sequences = like(span.sequences), to_memory = like(span.memory);
  const std::vector<Sequence> results = sequences_of(to_sequences),
                              of_results = sequences_of(to_memory);
  Tensors to_gates;
  for (const Tensor& gate : span.gates) to_gates.push_back(at::zeros_like(gate));

  for_each_head(span.heads(), [&](int64_t head, Workspace& workspace) {
    const std::vector<Matrix> first = of_head(span.memory, head),
                              between = matrices_like(workspace, first);
    std::vector<Matrix> to_after = of_head(of_after, head);
    const std::vector<Matrix> turns[] = {matrices_like(workspace, first),
                                         matrices_like(workspace, first)};
    const size_t used = workspace.used();
    for (int64_t index = chunks - 1; index >= 0; index--) {
      workspace.rewind(used);
      const int64_t even = index / 2 * 2;
      std::vector<Matrix> memory = even ? kept.before(head, even) : first;
      if (index % 2) {
        Chunk<T> chunk = span.chunk<T>(workspace, head, even, memory);
        advance(chunk, memory = between);
        workspace.rewind(used);
      }
      Chunk<T> chunk = span.chunk<T>(workspace, head, index, memory, true);
      const std::vector<Matrix> to_before = index ? turns[index % 2] : of_head(of_results, head);
      std::vector<Gradient> to;
      for (const Matrix& matrix : to_before) to.push_back({Factors(workspace, size), matrix});
      const ToSequences found =
          backward(chunk, span.sequence<T>(workspace, 0, head, index),
                   kept.tape<T>(workspace, head, index, size),
                   of_output.at<T>(workspace, head, index * size, size), to_after, to);
      for (size_t l = 0; l < to.size(); l++)
        chunk.layers[l].decay.backward(workspace, span.of_chunk(span.gates, l, head, index),
                                       to[l].factors, span.of_chunk(to_gates, l, head, index));
      results[0].put<T>(head, index * size, found.queries);
      results[1].put<T>(head, index * size, found.keys);
      results[2].put<T>(head, index * size, found.targets);
      to_after = to_before;
    }
  });
  return {to_sequences, to_gates, to_memory};
}

}  // namespace titans
