import logging
import math
from collections.abc import Sequence

import anyio

from ._deadline import half_of_the_rest
from .stores import Reranker
from .types import Recollection, text_of

logger = logging.getLogger("recollect")


async def reranked(reranker: Reranker, query: str, hits: Sequence[Recollection]) -> list[Recollection]:
    """Return the hits in the order of the reranker's scores, equal ones as they were.

    A reranker that fails, hangs or returns something else than a finite number for each text leaves
    the hits as they are: a worse order is still an answer.
    """
    texts = [text_of(hit.episode.input, hit.episode.output) for hit in hits]
    scores: Sequence[float] = ()
    with anyio.move_on_after(half_of_the_rest()):
        try:
            scores = [float(score) for score in await reranker(query, texts)]
        except Exception as exc:  # noqa: BLE001  # boundary to user code: it raises what it likes
            logger.warning("the reranker failed (%s): recall keeps its own order", type(exc).__name__)
            return list(hits)
    if len(scores) != len(hits) or not all(map(math.isfinite, scores)):
        logger.warning(
            "the reranker was late or did not return a number for each text: recall keeps its own order"
        )
        return list(hits)
    scored = [
        hit.model_copy(update={"score": score, "signals": hit.signals.model_copy(update={"rerank": score})})
        for hit, score in zip(hits, scores, strict=True)
    ]
    return sorted(scored, key=lambda hit: -hit.score)
