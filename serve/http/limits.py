"""Checks of the texts of a request, before any of them is scored."""

from collections.abc import Sequence

from copylens.corpus.checks import CONTROL
from serve.http.errors import RequestError
from serve.ops.settings import Limits


def check_texts(texts: Sequence[str], limits: Limits, batch: bool) -> None:
    """Refuses too many or too long texts, and texts that are blank or not plain text.

    Args:
        batch: the request held a list, so errors name the text's index.

    Raises:
        RequestError: 413 where a limit is exceeded, 422 where a text cannot be scored.
    """
    if len(texts) > limits.texts:
        raise RequestError(
            413,
            "too_many_texts",
            f"the request holds {len(texts)} texts",
            limits.texts,
            "send several requests, or score a whole log with ray_jobs.score",
        )
    for number, text in enumerate(texts):
        _check_text(text, f"texts[{number}]" if batch else "text", limits)
    total = sum(map(len, texts))
    if total > limits.request_chars:
        raise RequestError(
            413,
            "request_too_long",
            f"the texts have {total} characters together",
            limits.request_chars,
            "send several requests",
        )


def _check_text(text: str, where: str, limits: Limits) -> None:
    if not text.strip():
        raise RequestError(422, "blank_text", f"{where} is blank", hint="give at least one word")
    if len(text) > limits.text_chars:
        raise RequestError(
            413,
            "text_too_long",
            f"{where} has {len(text)} characters",
            limits.text_chars,
            "cut it, or score it with `copylens score`",
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RequestError(
            422,
            "not_unicode",
            f"{where} holds half of a surrogate pair at {error.start}",
            hint="escape characters beyond U+FFFF as pairs, or send them as UTF-8",
        ) from None
    # Ingestion rejects passages with these characters, so no model was trained on any.
    if found := CONTROL.search(text):
        raise RequestError(
            422,
            "control_character",
            f"{where} holds the control character U+{ord(found[0]):04X} at {found.start()}",
            hint="send plain text; tabs and line breaks are fine",
        )
