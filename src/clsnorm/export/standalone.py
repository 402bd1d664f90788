"""Loads an exported folder where clsnorm cannot be imported, and writes its logits for some texts.

python -I standalone.py FOLDER TEXTS.jsonl LOGITS.npy MAX_LENGTH
"""

import json
import sys

BATCH = 32


def main(folder: str, texts: str, output: str, max_length: str) -> None:
    """Writes float32 logits, ``(n, C)``; each line of ``texts`` is a list of one text or two."""
    import numpy as np
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    ).eval()
    with open(texts, encoding="utf-8") as lines:  # noqa: PTH123
        rows = [json.loads(line) for line in lines]
    found = []
    with torch.inference_mode():
        for start in range(0, len(rows), BATCH):
            columns = [list(column) for column in zip(*rows[start : start + BATCH], strict=True)]
            inputs = tokenizer(*columns, truncation=True, max_length=int(max_length), padding=True, return_tensors="pt")
            found.append(model(**inputs).logits.float().numpy())
    np.save(output, np.concatenate(found))


if __name__ == "__main__":
    sys.modules["clsnorm"] = None  # type: ignore[assignment]  # importing it now raises ImportError
    main(*sys.argv[1:])
