"""The model card: what the checkpoint and the record of its run say, and nothing else."""

import json
import shlex
from pathlib import Path
from typing import Any

# Where a run notes the path of its record, beside its checkpoint.
NOTE = "record.txt"
MEASURES = ("token_perplexity", "word_perplexity", "bits_per_byte")
CARD = """\
---
library_name: transformers
pipeline_tag: text-generation
tags: [titans]
---

# {title}

A language model of a reproduction of *Titans: Learning to Memorize at Test Time*
([arXiv:2501.00663](https://arxiv.org/abs/2501.00663)); the weights are not those of its authors.

| | |
|---|---|
{facts}

The command of its training:

```sh
{command}
```

With the package `titans` installed:

```python
import titans
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("this folder")
model = AutoModelForCausalLM.from_pretrained("this folder")
```
"""


def card(checkpoint: dict[str, Any], parameters: int, scores: dict[str, float]) -> str:
    """The text of a model card.

    Args:
        checkpoint: of a language model.
        parameters: how many it has.
        scores: of its run on the held-out part, by name.
    """
    run, kept = checkpoint["run"], checkpoint["LanguageData"]
    choices = run.get("choices", {})
    facts = {
        "model": choices.get("model"),
        "scale": choices.get("scale"),
        "parameters": f"{parameters:,}",
        "trained on": kept.get("corpus"),
        "tokens trained on": f"{int(checkpoint['tokens_seen']):,}",
        "steps": f"{int(checkpoint['global_step']):,}",
        "tokens of a training sequence": f"{kept['length']:,}",
        "seed": run.get("seed"),
    } | {f"{name}, held-out part, by the run's record": f"{s:g}" for name, s in scores.items()}
    return CARD.format(
        title=f"Titans: {choices.get('model')}, {choices.get('scale')}",
        facts="\n".join(f"| {name} | {fact} |" for name, fact in facts.items() if fact is not None),
        command=shlex.join(["python", "run.py", *run.get("overrides", [])]),
    )


def scores(checkpoint: Path, run: dict[str, Any]) -> dict[str, float]:
    """The perplexities in the record that the run left a note of beside its checkpoint.

    Returns:
        Name to number; none where there is no record, or one of another run.
    """
    try:
        path = Path((checkpoint.parent / NOTE).read_text(encoding="utf-8"))
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    same = all(record.get(fact) == run.get(fact) for fact in ("choices", "overrides", "seed"))
    if record.get("status") != "finished" or not same:
        return {}
    # Those of the model of counts have other names.
    return {
        name: score
        for name, score in record["scores"].items()
        if score is not None and name.rpartition("/")[2] in MEASURES
    }
