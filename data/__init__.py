"""Where examples come from: sources, prompts and Lightning data modules."""
