"""nu by its definition, with covariance matrices and the pseudo-inverse of torch.linalg.pinv."""

import numpy as np
import torch

VARIANTS = tuple(
    {"weighting": weighting, "centre": centre}
    for weighting in ("class", "size")
    for centre in ("class_means", "global_mean")
)


def definition(features, labels, weighting="class", centre="class_means"):
    """Xie et al., section 3.1, example by example: features (n, width), labels (n,) -> nu."""
    classes, counts = np.unique(labels, return_counts=True)
    shares = counts / len(labels) if weighting == "size" else np.full(len(classes), 1 / len(classes))
    means = np.stack([features[labels == y].mean(axis=0) for y in classes])
    middle = features.mean(axis=0) if centre == "global_mean" else means.mean(axis=0)
    width = features.shape[1]
    within, between = np.zeros((width, width)), np.zeros((width, width))
    for y, mean, share in zip(classes, means, shares, strict=True):
        group = features[labels == y]
        for h in group:
            within += share * np.outer(h - mean, h - mean) / len(group)
        between += share * np.outer(mean - middle, mean - middle)
    inverse = torch.linalg.pinv(torch.from_numpy(between), hermitian=True).numpy()
    return np.trace(within @ inverse) / len(classes)
