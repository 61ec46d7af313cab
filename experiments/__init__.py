"""What the paper claims, what our runs measured, and what is still missing."""
