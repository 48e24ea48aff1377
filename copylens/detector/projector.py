"""The contrastive projector: attributor features -> a space where passages of one kind are near."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from copylens.attributor.attention.reader import Reader
from copylens.attributor.attention.training import predict
from copylens.config.schema import DetectorConfig
from copylens.detector.contrastive import nt_xent, supcon
from copylens.records import FloatArray, IntArray, States

# Views per passage: random crops of its windows, made once.
_VIEWS = 4
_CROP = (0.4, 0.8)


@dataclass(frozen=True)
class ProjectorShape:
    """The sizes that fix the projector's parameters."""

    features: int
    embedding: int


class Projector(nn.Module):
    """Features of the attributor -> a point on the unit sphere: [B, F] -> [B, Z]."""

    mean: Tensor
    scale: Tensor

    def __init__(self, shape: ProjectorShape):
        super().__init__()
        self.shape = shape
        self.register_buffer("mean", torch.zeros(shape.features))
        self.register_buffer("scale", torch.ones(shape.features))
        self.layers = nn.Sequential(
            nn.Dropout(0.1),
            nn.Linear(shape.features, 256),
            nn.GELU(),
            nn.Linear(256, shape.embedding),
        )

    def forward(self, features: Tensor) -> Tensor:
        """L2-normalised embeddings."""
        return nn.functional.normalize(self.layers((features - self.mean) / self.scale), dim=1)

    @torch.inference_mode()
    def embed(self, features: FloatArray) -> FloatArray:
        """Embeddings [N, Z] of features [N, F], without dropout."""
        self.eval()
        return np.asarray(self(torch.from_numpy(features).float()).numpy())


def fit_projector(
    reader: Reader,
    states: Sequence[States],
    labels: IntArray,
    config: DetectorConfig,
    seed: int,
) -> Projector:
    """Contrastive training with the attributor as a frozen prior.

    Two random crops of a passage attract (NT-Xent), and so do passages of one sub-dataset
    (SupCon); each loss has its switch. It takes seconds, so every worker fits the same projector.
    """
    views = _cropped_features(reader, states, seed)  # [V, N, F]
    torch.manual_seed(seed)
    projector = Projector(ProjectorShape(views.shape[2], config.embedding))
    projector.mean = views.mean(dim=(0, 1))
    projector.scale = views.std(dim=(0, 1)).clamp(min=1e-4)
    optimizer = torch.optim.AdamW(
        projector.parameters(), lr=config.learning_rate, weight_decay=0.01
    )
    targets = torch.from_numpy(labels)
    for epoch in range(config.epochs):
        generator = np.random.default_rng([seed, epoch])
        order = generator.permutation(len(labels))
        for start in range(0, len(order) - 1, config.batch_size):
            index = order[start : start + config.batch_size]
            first, second = generator.choice(_VIEWS, 2, replace=False)
            loss = _contrast(
                projector(views[first, index]),
                projector(views[second, index]),
                targets[index],
                config,
            )
            optimizer.zero_grad()
            torch.autograd.backward([loss])
            optimizer.step()
    return projector.eval()


def _contrast(first: Tensor, second: Tensor, labels: Tensor, config: DetectorConfig) -> Tensor:
    loss = first.new_zeros(())
    if config.nt_xent:
        loss = loss + nt_xent(first, second, config.nt_xent_temperature)
    if config.supcon:
        both, twice = torch.cat([first, second]), torch.cat([labels, labels])
        loss = loss + supcon(both, twice, config.supcon_temperature)
    return loss


def _cropped_features(reader: Reader, states: Sequence[States], seed: int) -> Tensor:
    """Attributor features of random crops of every passage, [V, N, F]."""
    generator = np.random.default_rng([seed, 13])
    views = []
    for _ in range(_VIEWS):
        cropped = [_crop(item, generator) for item in states]
        features = predict(reader, tuple(item.values for item in cropped)).features
        views.append(torch.from_numpy(features))
    return torch.stack(views)


def _crop(states: States, generator: np.random.Generator) -> States:
    W = len(states.values)
    take = max(1, round(W * generator.uniform(*_CROP)))
    start = int(generator.integers(0, W - take + 1))
    return states.block(start, start + take)
