"""`python -m benchmarks.verdict.fine_tuning RUN`: reading states beside fine-tuning an LM.

RUN is the output of `copylens run` or, at least, of its ingest. Both ways learn from the same
training passages which sub-dataset a passage is of, and are asked about the same test passages.
- fine_tuning_vs_states: CPU seconds that it takes to fine-tune a model, all of its weights, a
  linear head on the mean of its last hidden states, over those of reading the training passages'
  states with the run's LM and of fitting the attention channel's reader.
- accuracy_states, accuracy_fine_tuned: of the two.
`--model`: what is fine-tuned, as in probe.model; the run's LM if nothing is said, so that both have
the same size. It computes in bfloat16 where the machine does so in hardware, as the probe does; its
weights stay float32.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.embed import tell
from benchmarks.verdict.lm_reading import AttentionChannel, labels_of, some_passages
from copylens.config.load import load_config
from copylens.config.schema import ProbeConfig
from copylens.corpus import load_manifest
from copylens.probe.lm import LanguageModel, load_language_model, torch_dtype
from copylens.records import IntArray
from copylens.store import storage

BATCH = 16
RATES = {True: 2e-5, False: 5e-5}
"""Learning rates: of a causal LM, of an encoder."""
WARM_UP = 0.1


def main() -> None:
    """Measures, tells each step on stderr, and prints the JSON line last."""
    # Threads that wait for each other count as busy.
    torch.set_num_threads(1)
    asked = _arguments()
    config = load_config(storage.join(asked.run, "config.yaml"), [f"output={asked.run}"])
    names = load_manifest(config.output).sub_datasets
    train, test = (some_passages(config, split, asked.passages) for split in ("train", "test"))
    truth = labels_of(config, test)
    start = time.process_time()
    channel = AttentionChannel(config, train)
    by_states = time.process_time() - start
    figures = {"accuracy_states": float((channel.answers(test) == truth).mean())}
    tell({"states_cpu_seconds": by_states, "train": len(train), "test": len(test)} | figures)
    model = asked.model or config.probe.model
    start = time.process_time()
    tuned = FineTuned(ProbeConfig(model=model, dtype="float32", max_tokens=asked.tokens), names)
    tuned.fit([p.text for p in train], labels_of(config, train), asked.epochs, config.seed)
    took = time.process_time() - start
    figures["accuracy_fine_tuned"] = float((tuned.answers([p.text for p in test]) == truth).mean())
    figures["fine_tuning_vs_states"] = took / by_states
    print(json.dumps({name: round(value, 4) for name, value in sorted(figures.items())}))


class FineTuned(nn.Module):
    """A stack of layers with a linear head on the mean of its last hidden states."""

    def __init__(self, config: ProbeConfig, names: Sequence[str]):
        super().__init__()
        self._lm: LanguageModel = load_language_model(config)
        for weights in self._lm.base.parameters():
            # What was loaded is mapped from a file.
            weights.data = weights.data.clone()
            weights.requires_grad_(True)
        self.base = self._lm.base.train()
        self.head = nn.Linear(self._lm.base.config.hidden_size, len(names))
        self._dtype = torch_dtype("auto", self._lm.device)

    def forward(self, texts: Sequence[str]) -> Tensor:
        """[N, K] logits, float32."""
        lm = self._lm
        lm.tokenizer.pad_token = lm.tokenizer.pad_token or lm.tokenizer.eos_token
        rows = lm.tokenizer(
            list(texts), truncation=True, max_length=lm.context, padding=True, return_tensors="pt"
        )
        with torch.autocast("cpu", self._dtype, enabled=self._dtype != torch.float32):
            hidden = lm.forward(rows["input_ids"], rows["attention_mask"]).last_hidden_state
        mask = rows["attention_mask"][..., None].float()
        return self.head((hidden.float() * mask).sum(dim=1) / mask.sum(dim=1))

    def fit(self, texts: Sequence[str], labels: IntArray, epochs: int, seed: int) -> None:
        """AdamW on the cross-entropy, the learning rate rising and falling linearly."""
        torch.manual_seed(seed)
        batches = list(_batches(len(texts), epochs, seed))
        rate = RATES[self._lm.architecture.causal]
        optimizer = torch.optim.AdamW(
            [{"params": self.base.parameters(), "lr": rate}, {"params": self.head.parameters()}],
            weight_decay=0.01,
        )
        warm = max(1, int(WARM_UP * len(batches)))
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda n: min((n + 1) / warm, (len(batches) - n) / (len(batches) - warm + 1))
        )
        for number, index in enumerate(batches):
            target = torch.from_numpy(labels[index]).long()
            loss = nn.functional.cross_entropy(self([texts[i] for i in index]), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            if number % 20 == 0:
                tell({"batch": number, "of": len(batches), "loss": loss.item()})

    @torch.inference_mode()
    def answers(self, texts: Sequence[str]) -> IntArray:
        """[N] the sub-dataset of each text."""
        self.base.eval()
        starts = range(0, len(texts), BATCH)
        return np.asarray(torch.cat([self(texts[s : s + BATCH]).argmax(dim=1) for s in starts]))


def _batches(count: int, epochs: int, seed: int) -> Iterator[IntArray]:
    generator = np.random.default_rng(seed)
    for _ in range(epochs):
        order = generator.permutation(count)
        for start in range(0, count, BATCH):
            yield order[start : start + BATCH]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--model", help="default: the run's LM")
    parser.add_argument("--passages", type=int, default=400, help="of each of train and test")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=512, help="of a passage, when fine-tuning")
    return parser.parse_args()


if __name__ == "__main__":
    main()
