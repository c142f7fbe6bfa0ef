"""Why something failed, as JSON text in a column."""

import orjson

from domain.work.work import Failure


def failure_text(failure: Failure | None) -> str | None:
    if failure is None:
        return None
    return orjson.dumps({"code": failure.code, "message": failure.message, "retryable": failure.retryable}).decode()


def read_failure(text: str | None) -> Failure | None:
    if text is None:
        return None
    told = orjson.loads(text)
    return Failure(told["code"], told["message"], told["retryable"])
