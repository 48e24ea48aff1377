"""`python -m benchmarks.verdict.lm_size RUN LM [LM ...]`: does a better LM attribute better?

RUN is the output of `copylens run` or, at least, of its ingest. Each LM (as in probe.model; of a
causal one) reads the same passages; of each, the number of parameters, the loss, in bits per
character of the test passages so that LMs of different tokenizers compare, and the accuracy of the
attention channel on its states. The last line is one JSON object: LM -> its figures.
"""

import argparse
import json
import math

import torch

from benchmarks.embed import tell
from benchmarks.verdict.lm_reading import AttentionChannel, labels_of, some_passages
from copylens.audit.token_scores import token_scores
from copylens.config.load import load_config
from copylens.config.schema import RunConfig
from copylens.probe.lm import load_language_model
from copylens.store import storage


def main() -> None:
    """Measures LM after LM, tells each on stderr, and prints the JSON line last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("lms", nargs="+", metavar="LM")
    parser.add_argument("--train", type=int, default=1200, help="passages")
    parser.add_argument("--test", type=int, default=400, help="passages")
    asked = parser.parse_args()
    figures = {}
    for lm in asked.lms:
        overrides = [f"output={asked.run}", f"probe.model={lm}"]
        config = load_config(storage.join(asked.run, "config.yaml"), overrides)
        torch.set_num_threads(config.resources.threads)
        figures[lm] = measured(config, asked.train, asked.test)
        tell(figures[lm])
    print(json.dumps(figures))


def measured(config: RunConfig, train: int, test: int) -> dict[str, float]:
    """Parameters, bits per character and accuracy of one LM."""
    asked = some_passages(config, "test", test)
    channel = AttentionChannel(config, some_passages(config, "train", train))
    right = channel.answers(asked) == labels_of(config, asked)
    lm = load_language_model(config.probe)
    scores = token_scores(lm, [p.text for p in asked], config.probe.batch_tokens)
    bits = -sum(float(item.log_probs.sum()) for item in scores) / math.log(2)
    return {
        "parameters": sum(weights.numel() for weights in lm.model.parameters()),
        "bits_per_character": round(bits / sum(len(p.text) for p in asked), 4),
        "accuracy": round(float(right.mean()), 4),
        "standard_error": round(float(right.std() / math.sqrt(len(right))), 4),
    }


if __name__ == "__main__":
    main()
