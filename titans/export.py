"""Writes a trained language model as a folder that `transformers` loads."""

import argparse
import sys
from pathlib import Path

EPILOG = """\
The checkpoint is last.ckpt of a run of task=lm, whose path the run prints. Then, anywhere that
titans is installed:

  import titans
  from transformers import AutoModelForCausalLM, AutoTokenizer

  tokenizer = AutoTokenizer.from_pretrained("out")
  model = AutoModelForCausalLM.from_pretrained("out")
  prompt = tokenizer("The tide", return_tensors="pt")
  print(tokenizer.decode(model.generate(**prompt, max_new_tokens=20)[0]))
"""


def main() -> None:
    """Exports; says in a line what was wrong, if something was."""
    parser = argparse.ArgumentParser(
        prog="python -m titans.export",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", type=Path, help="a checkpoint of task=lm")
    parser.add_argument("out", type=Path, help="the folder to write; must be new or empty")
    arguments = parser.parse_args()
    # These take seconds to import.
    from transformers.utils.logging import disable_progress_bar

    from titans.hub.folder import export

    disable_progress_bar()
    try:
        model = export(arguments.checkpoint, arguments.out)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    print(f"{arguments.out}: {model.num_parameters():,} parameters")


if __name__ == "__main__":
    main()
