"""Layer tuning: a block of layers is trained, those above may be dropped, the rest is frozen."""

from oracles.case import Case
from oracles.plain import PlainBert


class LayerTuning(Case):
    """Of two layers, those in `block` (0-based) are trained and the lowest `depth` are kept.

    embeddings: whether the embeddings are trained too.
    """

    def __init__(self, settings, block, depth=2, embeddings=False, off=None):
        super().__init__(settings, off)
        self.block, self.depth, self.embeddings = block, depth, embeddings

    def prepare(self, parameters, batches):
        for name in [name for name in parameters if self.layer_of(name) is not None]:
            if self.layer_of(name) >= self.depth:
                del parameters[name]

    def layer_of(self, name):
        return int(name.split(".")[3]) if name.startswith("bert.encoder.layer.") else None

    def trained(self, name):
        if name.startswith("bert.embeddings."):
            return self.embeddings
        return self.layer_of(name) is None or self.layer_of(name) in self.block

    def bert(self, leaves):
        return PlainBert(leaves, self.depth, 2)


CASES = {
    "variability-tune": LayerTuning({"layer": 1}, block=(0,), depth=1),
    "variability-tune/head on top": LayerTuning({"layer": 1, "head": "top"}, block=(0,)),
    "variability-tune/embeddings": LayerTuning({"layer": 1, "embeddings": True}, block=(0,), depth=1, embeddings=True),
    "layer-tune": LayerTuning(
        {"layer": "top", "count": 1}, block=(1,), off={"count": None, "embeddings": None, "head": "layer"}
    ),
    "layer-tune/none": LayerTuning({"layer": 2, "count": 0}, block=()),
}
