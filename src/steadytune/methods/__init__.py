"""Fine-tuning methods, one file each; `registry` finds them, `base` defines what a method can do."""
