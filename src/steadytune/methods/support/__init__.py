"""Building blocks of methods: the perturbed forward pass, the objective and the cached prefix."""
