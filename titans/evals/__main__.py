"""lm-eval's own command line, with our models in it.

    python -m titans.evals --model titans --model_args checkpoint=last.ckpt --tasks piqa

It is `lm_eval` with one import before: version 0.4.13 looks for models in a list of its own, and
neither at entry points nor, before the model is made, into `--include_path`.
"""

from lm_eval.__main__ import cli_evaluate

import titans.evals.harness  # noqa: F401

if __name__ == "__main__":
    cli_evaluate()
