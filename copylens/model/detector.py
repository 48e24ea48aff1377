"""The detector: does a text draw on anything registered at all? (Inner-Probe, stage 2)"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from copylens.config import DetectorConfig
from copylens.model.attributor import channel_values
from copylens.model.losses import nt_xent, supcon
from copylens.model.network import AttributorNetwork
from copylens.model.ood_scores import Knn, Mahalanobis, max_logit
from copylens.model.training import predict
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
    networks: Sequence[tuple[str, AttributorNetwork]],
    states: Sequence[States],
    labels: IntArray,
    config: DetectorConfig,
    seed: int,
) -> Projector:
    """Contrastive training with the attributor as a frozen prior.

    Two random crops of a passage attract (NT-Xent), and so do passages of one sub-dataset
    (SupCon); each loss has its switch. It takes seconds, so every worker fits the same projector.
    """
    views = _cropped_features(networks, states, seed)  # [V, N, F]
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


def _cropped_features(
    networks: Sequence[tuple[str, AttributorNetwork]], states: Sequence[States], seed: int
) -> Tensor:
    """Attributor features of random crops of every passage, [V, N, F]."""
    generator = np.random.default_rng([seed, 13])
    views = []
    for _ in range(_VIEWS):
        cropped = [_crop(item, generator) for item in states]
        features = [
            predict(network, channel_values(name, cropped)).features for name, network in networks
        ]
        views.append(torch.from_numpy(np.concatenate(features, axis=1)))
    return torch.stack(views)


def _crop(states: States, generator: np.random.Generator) -> States:
    W = len(states.values)
    take = max(1, round(W * generator.uniform(*_CROP)))
    start = int(generator.integers(0, W - take + 1))
    block = slice(start, start + take)
    return States(
        states.values[block], states.likelihood[block], states.spans[block], states.tokens
    )


@dataclass(frozen=True)
class Reading:
    """What the detector reads of N texts; see `Evidence` for features and support.

    Attributes:
        features: [N, Z].
        log_probs: [N, K] fused.
        support: [N, K].
    """

    features: FloatArray
    log_probs: FloatArray
    support: FloatArray


@dataclass(frozen=True)
class Detector:
    """The mean of the z-scores of the chosen single scores.

    `wording`: the best sub-dataset's support, each less what its own passages usually get.
    `confidence`: the largest fused log-probability. `knn`, `mahalanobis`: distances in the
    contrastive projector's space. All negated where needed: larger = less likely registered.

    Attributes:
        projector, knn, mahalanobis: None where the space is not used.
        usual: [K] mean support that held-out registered passages give each sub-dataset.
        centre, spread: score name -> mean and deviation on held-out registered passages.
        chosen: the names that count.
    """

    projector: Projector | None
    knn: Knn | None
    mahalanobis: Mahalanobis | None
    usual: FloatArray
    centre: dict[str, float]
    spread: dict[str, float]
    chosen: tuple[str, ...]

    def parts(self, reading: Reading) -> dict[str, FloatArray]:
        """The single scores, unscaled: name -> [N]."""
        parts: dict[str, FloatArray] = {"confidence": max_logit(reading.log_probs)}
        if reading.support.shape[1]:
            parts["wording"] = max_logit(reading.support - self.usual)
        if self.projector is not None and self.knn is not None and self.mahalanobis is not None:
            embedding = self.projector.embed(reading.features)
            parts["knn"] = self.knn.score(embedding)
            parts["mahalanobis"] = self.mahalanobis.score(embedding)
        return parts

    def score(self, reading: Reading) -> FloatArray:
        """ood_score [N]: unbounded; larger = less likely to draw on anything registered."""
        parts = self.parts(reading)
        scaled = [(parts[n] - self.centre[n]) / self.spread[n] for n in self.chosen]
        return np.asarray(np.mean(scaled, axis=0))


def fit_detector(
    projector: Projector | None,
    train: tuple[FloatArray, IntArray],
    held: Reading,
    ood: Reading | None,
    config: DetectorConfig,
) -> Detector:
    """Fits the scores and standardises them on held-out registered passages.

    Args:
        projector: None leaves the space out, e.g. where `held` has no features.
        train: features [N, Z] and labels [N] of the training passages.
        held: registered passages that the channels behind the reading were not fitted on.
        ood: unregistered texts, to choose k and the combination by; without them k is the largest
            candidate not above 10, and wording and confidence count.
    """
    usual = held.support.mean(axis=0)
    bare = Detector(None, None, None, usual, {}, {}, ())
    candidates = [bare]
    if projector is not None:
        embedding = projector.embed(train[0])
        mahalanobis = Mahalanobis.fit(embedding, train[1])
        allowed = [k for k in config.neighbours if k <= len(embedding)] or [1]
        small = [k for k in allowed if k <= 10] or allowed[:1]
        candidates = [
            replace(bare, projector=projector, knn=Knn.fit(embedding, k), mahalanobis=mahalanobis)
            for k in (allowed if ood is not None else small[-1:])
        ]
    combined = [
        replace(detector, chosen=chosen)
        for detector in (_standardised(candidate, held) for candidate in candidates)
        for chosen in _combinations(tuple(detector.centre))
    ]
    if ood is None:
        return combined[0]
    return max(combined, key=lambda detector: _auroc(detector.score(held), detector.score(ood)))


def _combinations(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The few combinations that are tried, the default first."""
    space = tuple(n for n in ("knn", "mahalanobis") if n in names)
    plain = tuple(n for n in ("wording", "confidence") if n in names)
    tried = [plain, *((n,) for n in plain), (*plain, *space), space]
    return [chosen for chosen in dict.fromkeys(tried) if chosen]


def _standardised(detector: Detector, held: Reading) -> Detector:
    parts = detector.parts(held)
    return replace(
        detector,
        centre={name: float(part.mean()) for name, part in parts.items()},
        spread={name: max(float(part.std()), 1e-9) for name, part in parts.items()},
    )


def _auroc(registered: FloatArray, unregistered: FloatArray) -> float:
    from scipy.stats import mannwhitneyu

    statistic = mannwhitneyu(unregistered, registered).statistic
    return float(statistic / (len(registered) * len(unregistered)))
