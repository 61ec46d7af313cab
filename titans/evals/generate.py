"""Greedy continuation of many prompts at once, streamed, in memory that no length changes."""

from collections.abc import Callable, Sequence

import torch

from titans.models import LanguageModel


@torch.inference_mode()
def generate(
    network: LanguageModel,
    prompts: Sequence[Sequence[int]],
    *,
    new_tokens: int,
    end: int,
    piece: int = 2048,
    stop: Callable[[list[int]], bool] = lambda tokens: False,
) -> list[list[int]]:
    """Continues each prompt by its likeliest tokens.

    Prompts of unequal length share a batch without padding: all are read to the end of the
    shortest; from there each takes its own next token, from the prompt while that lasts.

    Args:
        network: the model.
        prompts: token ids, none empty.
        new_tokens: at most so many are generated for each.
        end: the token that ends a continuation; it is not returned.
        piece: tokens read at a time, which bounds the memory that reading takes.
        stop: whether a continuation, by what it is so far, may end.

    Returns:
        The generated ids of each prompt.
    """
    device = next(network.parameters()).device
    common = min(map(len, prompts))
    state = None
    for start in range(0, common, piece):
        now = [prompt[start : min(start + piece, common)] for prompt in prompts]
        hidden, state = network.hidden(torch.tensor(now, device=device), state)
    outputs: list[list[int]] = [[] for _ in prompts]
    finished = [False] * len(prompts)
    for position in range(common, max(map(len, prompts)) + new_tokens):
        likeliest = network.logits(hidden[:, -1]).argmax(-1).tolist()
        for index, token in enumerate(likeliest):
            if position < len(prompts[index]):
                likeliest[index] = prompts[index][position]
            elif token == end or len(outputs[index]) == new_tokens:
                finished[index] = True
            elif not finished[index]:
                outputs[index].append(token)
                finished[index] = stop(outputs[index])
        if all(finished):
            break
        hidden, state = network.hidden(torch.tensor(likeliest, device=device)[:, None], state)
    return outputs
