"""What methods build on: the forward pass that they perturb, the objective, the cached prefix."""
