"""Fine-tuning methods, one file each; `registry` finds them, `base` says what a method may do."""
